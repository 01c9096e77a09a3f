"""TCP by each way that the running kernel offers besides the best one; the same loads."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from ebpftop.collector.running import MISSED
from tests.bpf import test_tcptop
from tests.bpf.conftest import Session
from tests.bpf.tcp_loads import LOADS, LOOPBACK, SIZE, connect, run
from tests.bpf.test_tcptop import Watch, mptcp_is_on

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load BPF programs"),
]
LENGTHS = "raw_tp:sock_send_length,raw_tp:sock_recv_length"
ENDS = "fexit:inet_sendmsg,fexit:inet_recvmsg"
# What is hidden, and the hook that shows which way was taken then.
WAYS = {
    "ends of functions": (LENGTHS, "fexit:inet_sendmsg"),
    "kprobes": (f"{LENGTHS},{ENDS}", "kretprobe:inet_sendmsg"),
}


@pytest.fixture(scope="module", params=WAYS)
def way(request) -> Iterator[tuple[str, Session]]:
    hidden, hook = WAYS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EBPFTOP_WITHOUT", hidden)
        session = Session("tcptop")
    try:
        session.wait_running("tcptop")
        assert hook in session.statuses("tcptop")[-1].hooks
        yield request.param, session
    finally:
        session.close()


@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize("load", LOADS)
def test_bytes_are_exact_by_each_way(way, family, load):
    _, session = way
    test_tcptop.test_bytes_are_exact(session, family, load)


def test_calls_are_those_that_moved_bytes_by_each_way(way):
    _, session = way
    pair = connect("v4")
    watch = Watch(session, pair.client)
    for _ in range(321):
        pair.client.send(b"question")
        pair.server.recv(100, socket.MSG_PEEK)
        pair.server.recv(100)
    totals = watch.totals()
    pair.close()
    assert totals[os.getpid(), watch.lport]["tx_calls"] == 321
    assert totals[os.getpid(), watch.rport]["rx_calls"] == 321


@pytest.mark.skipif(not mptcp_is_on(), reason="this kernel has no MPTCP, or it is switched off")
@pytest.mark.parametrize("load", ["sendall to recv", "sendfile", "splice from a socket"])
def test_mptcp_is_counted_once_but_for_what_kprobes_do_not_see(way, load):
    name, session = way
    pair = connect("v4", socket.IPPROTO_MPTCP)
    watch = Watch(session, pair.client)
    sender, receiver = run(pair, *LOADS[load])
    totals = watch.totals()
    assert totals[sender, watch.lport]["tx_bytes"] == SIZE
    seen = totals.get((receiver, watch.rport), {"rx_bytes": 0})
    assert seen["rx_bytes"] == (0 if name == "kprobes" else SIZE)


def test_receives_that_wait_are_all_seen(way):
    """More at a time than the kernel remembers returns of functions for."""
    _, session = way
    pairs = [connect("v4") for _ in range(100)]
    watches = [Watch(session, pair.client) for pair in pairs]
    waiting = [Thread(target=pair.server.recv, args=(10,)) for pair in pairs]
    for thread in waiting:
        thread.start()
    for pair in pairs:
        pair.client.send(b"0123456789")
    for thread in waiting:
        thread.join()
    session.settle("tcptop")
    rows = session.rows("tcptop", "connections", watches[0].since)
    received = [
        sum(row["rx_bytes"] for row in rows if row["lport"] == watch.rport) for watch in watches
    ]
    for pair in pairs:
        pair.close()
    assert received == [10] * 100


def test_what_waiting_sends_hide_is_called_lost(way):
    """Kretprobes remember a few calls at a time; each other one is counted as lost, once.

    Since 7.0 so is what a thread does that has taken the CPU from another within a program.
    """
    name, session = way
    pairs = [connect("v4") for _ in range(60)]
    watches = [Watch(session, pair.client) for pair in pairs]
    before = sum(session.lost("tcptop").values())

    def send_twice(end: socket.socket) -> None:
        end.sendall(bytes(8_000_000))  # more than the buffers hold: waits for the reader
        end.sendall(b"x")

    def read(end: socket.socket) -> None:
        left = 8_000_001
        while left:
            left -= len(end.recv(1 << 20))

    senders = [Thread(target=send_twice, args=(pair.client,)) for pair in pairs]
    for thread in senders:
        thread.start()
    readers = [Thread(target=read, args=(pair.server,)) for pair in pairs]
    for thread in readers:
        thread.start()
    for thread in (*senders, *readers):
        thread.join()
    session.settle("tcptop")
    rows = session.rows("tcptop", "connections", watches[0].since)
    ports = {watch.lport for watch in watches}
    sent = sum(row["tx_bytes"] for row in rows if row["lport"] in ports)
    lost = sum(session.lost("tcptop").values()) - before
    for pair in pairs:
        pair.close()
    assert 0 <= 8_000_001 * 60 - sent <= 8_000_000 * lost
    if name != "kprobes":
        assert set(session.lost("tcptop")) <= {MISSED}
