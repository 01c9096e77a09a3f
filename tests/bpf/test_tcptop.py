"""TCP against loops that know what they sent and received."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.bpf.tcp_loads import (
    CHUNK,
    LOADS,
    LOOPBACK,
    SIZE,
    Pair,
    connect,
    drink,
    pipe,
    process,
    run,
    splice,
)

pytestmark = pytest.mark.bpf

# How receives are seen: best first.
RESULTS, ENDS = "raw_tp:sock_recv_length", "fexit:inet_recvmsg"
FIRST_SPLICE = "first splice() from a connection that was not seen to begin"
FIRST_RECEIVE = "first receive from a connection that was not seen to begin"
COUNTERS = ("tx_bytes", "rx_bytes", "tx_calls", "rx_calls")


@pytest.fixture(scope="module")
def tcptop(collect_for_all):
    return collect_for_all("tcptop")


class Watch:
    """What the probe says of one connection from now on."""

    def __init__(self, session, end: socket.socket) -> None:
        self.session = session
        self.since = len(session.samples("tcptop"))
        self.laddr, self.lport = end.getsockname()[:2]
        self.raddr, self.rport = end.getpeername()[:2]

    def rows(self):
        """Rows of both ends; waits until all that happened so far is in them."""
        self.session.settle("tcptop")
        ports = {self.lport, self.rport}
        rows = self.session.rows("tcptop", "connections", self.since)
        return [row for row in rows if {row["lport"], row["rport"]} == ports]

    def totals(self):
        """Counters by process and local port."""
        totals: dict[tuple[int, int], Counter[str]] = {}
        for row in self.rows():
            total = totals.setdefault((row["pid"], row["lport"]), Counter())
            total.update({name: row[name] for name in COUNTERS})
        return totals


@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize("load", LOADS)
def test_bytes_are_exact(tcptop, family, load):
    pair = connect(family)
    watch = Watch(tcptop, pair.client)
    sender, receiver = run(pair, *LOADS[load])
    totals = watch.totals()
    assert set(totals) == {(sender, watch.lport), (receiver, watch.rport)}
    sent, received = totals[sender, watch.lport], totals[receiver, watch.rport]
    assert (sent["tx_bytes"], sent["rx_bytes"]) == (SIZE, 0)
    assert (received["tx_bytes"], received["rx_bytes"]) == (0, SIZE)
    assert not tcptop.lost("tcptop")


def test_reading_the_maps_meanwhile_loses_nothing(collect):
    session = collect("tcptop", interval_s=0.1)
    sends = 200_000

    def send_often(sock):
        for _ in range(sends):
            sock.send(b"x" * 10)

    pair = connect("v4")
    watch = Watch(session, pair.client)
    sender, receiver = run(pair, send_often, drink)
    totals = watch.totals()
    assert len(session.samples("tcptop")) - watch.since > 5
    assert totals[sender, watch.lport]["tx_calls"] == sends
    assert totals[sender, watch.lport]["tx_bytes"] == 10 * sends
    assert totals[receiver, watch.rport]["rx_bytes"] == 10 * sends


def test_calls_are_those_that_moved_bytes(tcptop):
    pair = connect("v4")
    watch = Watch(tcptop, pair.client)
    for _ in range(321):
        pair.client.send(b"question")
        pair.server.recv(100, socket.MSG_PEEK)
        pair.server.recv(100)
        with contextlib.suppress(BlockingIOError):
            pair.server.recv(100, socket.MSG_DONTWAIT)
    totals = watch.totals()
    pair.close()
    assert totals[os.getpid(), watch.lport]["tx_calls"] == 321
    assert totals[os.getpid(), watch.rport]["rx_calls"] == 321


@pytest.mark.parametrize("family", LOOPBACK)
def test_addresses_and_ports_are_those_of_each_end(tcptop, family):
    pair = connect(family)
    watch = Watch(tcptop, pair.client)
    pair.client.send(b"x")
    pair.server.recv(1)
    rows = watch.rows()
    pair.close()
    seen = {(row["family"], row["proto"], row["laddr"], row["lport"]) for row in rows}
    assert seen == {
        (family, "tcp", watch.laddr, watch.lport),
        (family, "tcp", watch.raddr, watch.rport),
    }
    assert {(row["raddr"], row["rport"]) for row in rows} == {
        (watch.laddr, watch.lport),
        (watch.raddr, watch.rport),
    }


def test_v4_spoken_by_a_v6_socket_reads_as_v4(tcptop):
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        pair = Pair(client, listener.accept()[0])
    watch = Watch(tcptop, pair.client)
    pair.client.send(b"x")
    pair.server.recv(1)
    rows = watch.rows()
    pair.close()
    assert {(row["family"], row["laddr"], row["raddr"]) for row in rows} == {
        ("v4", "127.0.0.1", "127.0.0.1")
    }
    assert {row["lport"] for row in rows} == {watch.lport, watch.rport}


def test_processes_that_share_a_socket_have_a_row_each(tcptop):
    pair = connect("v4")
    watch = Watch(tcptop, pair.client)

    def send_thousand():
        pair.client.sendall(bytes(1000))

    with process(send_thousand) as first:
        pass
    with process(send_thousand) as second:
        pass
    pair.client.sendall(bytes(234))
    totals = watch.totals()
    pair.close()
    sent = {pid: total["tx_bytes"] for (pid, _), total in totals.items()}
    assert sent == {first: 1000, second: 1000, os.getpid(): 234}


def test_bytes_read_after_the_connection_has_closed_keep_their_port(tcptop):
    pair = connect("v4")
    watch = Watch(tcptop, pair.client)
    pair.client.shutdown(socket.SHUT_WR)
    pair.server.sendall(bytes(5000))
    pair.server.close()
    while data := pair.client.recv(100):
        assert data
    totals = watch.totals()
    pair.close()
    assert totals[os.getpid(), watch.lport]["rx_bytes"] == 5000


def test_splice_after_the_connection_has_closed_counts(tcptop):
    pair = connect("v4")
    watch = Watch(tcptop, pair.client)
    pair.client.shutdown(socket.SHUT_WR)
    pair.server.sendall(bytes(5000))
    pair.server.close()
    with pipe() as (_, writer):
        while splice(pair.client.fileno(), writer, CHUNK):
            pass
    totals = watch.totals()
    pair.close()
    assert totals[os.getpid(), watch.lport]["rx_bytes"] == 5000


@pytest.fixture
def old(collect):
    """A session younger than a connection, of whose 7000 bytes 3000 have been received."""
    pair = connect("v4")
    pair.client.sendall(bytes(7000))
    pair.server.recv(3000)
    session = collect("tcptop")
    yield session, pair, Watch(session, pair.client)
    pair.close()


def splice_some(sock):
    with pipe() as (_, writer):
        return splice(sock.fileno(), writer, CHUNK)


def test_connections_older_than_the_probe_are_counted_from_then_on(old):
    session, pair, watch = old
    pair.server.recv(1000)
    assert splice_some(pair.server) == 3000
    received = watch.totals()[os.getpid(), watch.rport]["rx_bytes"]
    if {RESULTS, ENDS}.isdisjoint(session.statuses("tcptop")[-1].hooks):
        # Where only the advance of a socket is seen, it takes one to know where it was.
        assert (received, session.lost("tcptop")) == (3000, {FIRST_RECEIVE: 1})
    else:
        assert (received, session.lost("tcptop")) == (4000, {})


def test_a_splice_that_is_the_first_sight_of_an_old_connection_is_called_lost(old):
    session, pair, watch = old
    assert splice_some(pair.server) == 4000
    received = sum(total["rx_bytes"] for total in watch.totals().values())
    hooks = session.statuses("tcptop")[-1].hooks
    if ENDS in hooks:  # splice() has an end that tells
        assert (received, session.lost("tcptop")) == (4000, {})
    else:
        reason = FIRST_SPLICE if RESULTS in hooks else FIRST_RECEIVE
        assert (received, session.lost("tcptop")) == (0, {reason: 1})


def test_many_connections_at_the_same_addresses_of_memory_stay_apart(tcptop):
    """The kernel gives a new socket the memory of the last one."""
    expected = Counter[tuple[int, str]]()
    since = len(tcptop.samples("tcptop"))
    for number in range(1, 101):
        pair = connect("v4")
        pair.client.sendall(bytes(number))
        pair.server.recv(number)
        expected[pair.client.getsockname()[1], "tx_bytes"] += number
        expected[pair.server.getpeername()[1], "rx_bytes"] += number
        pair.close()
    tcptop.settle("tcptop")
    seen = Counter[tuple[int, str]]()
    for row in tcptop.rows("tcptop", "connections", since):
        if row["pid"] == os.getpid():
            seen[row["lport"], "tx_bytes"] += row["tx_bytes"]
            seen[row["rport"], "rx_bytes"] += row["rx_bytes"]
    assert {key: seen[key] for key in expected} == expected


def test_udp_is_not_tcp(tcptop):
    since = len(tcptop.samples("tcptop"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.connect(one.getsockname())
        one.send(b"x")
        one.recv(1)
        port = one.getsockname()[1]
        tcptop.settle("tcptop")
    rows = tcptop.rows("tcptop", "connections", since)
    assert not [row for row in rows if port in (row["lport"], row["rport"])]


def mptcp_is_on() -> bool:
    switch = Path("/proc/sys/net/mptcp/enabled")
    return switch.exists() and switch.read_text().strip() == "1"


@pytest.mark.skipif(not mptcp_is_on(), reason="this kernel has no MPTCP, or it is switched off")
@pytest.mark.parametrize("family", LOOPBACK)
@pytest.mark.parametrize("load", ["sendall to recv", "sendfile", "splice from a socket"])
def test_mptcp_counts_the_application_s_bytes_once(tcptop, family, load):
    pair = connect(family, socket.IPPROTO_MPTCP)
    watch = Watch(tcptop, pair.client)
    sender, receiver = run(pair, *LOADS[load])
    totals = watch.totals()
    assert totals[sender, watch.lport]["tx_bytes"] == SIZE
    assert totals[receiver, watch.rport]["rx_bytes"] == SIZE
    assert len(totals) == 2
    assert {row["proto"] for row in watch.rows()} == {"mptcp"}


def test_the_process_is_known_by_name(tcptop):
    pair = connect("v4")
    with process(pair.client.sendall, b"x") as pid:
        pass
    tcptop.settle("tcptop")
    pair.close()
    known = tcptop.processes(pid)
    assert known
    assert known[-1].comm == Path("/proc/self/comm").read_text().strip()
