"""TCP by process and connection: bytes sent and received, and the calls that moved them."""

import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ebpftop.probe import (
    Env,
    Layout,
    Map,
    Probe,
    Row,
    View,
    all_of,
    bytes_,
    cgroup,
    count,
    fexit,
    first_of,
    key,
    kprobe,
    kretprobe,
    pid,
    raw_tracepoint,
    table,
)

TX_BYTES, RX_BYTES = 0, 1
IPPROTO_MPTCP = 262
V4_IN_V6 = bytes(10) + b"\xff\xff"  # RFC 4291, section 2.5.5.2

SK, SOCK = "sk=struct sock *", "sock=struct socket *"
SEND_LENGTH = raw_tracepoint("sock_send_length", "on_send", SK)  # 6.3
RECV_LENGTH = raw_tracepoint("sock_recv_length", "on_receive", SK)
SENDMSG = (fexit("inet_sendmsg", "on_sendmsg", SOCK), fexit("inet6_sendmsg", "on_sendmsg6", SOCK))
# What sendfile() and splice() call before 6.5.
SENDPAGE = fexit("inet_sendpage", "on_sendpage", SOCK)
RECVMSG = (
    fexit("inet_recvmsg", "on_recvmsg", SOCK, "flags=int"),
    fexit("inet6_recvmsg", "on_recvmsg6", SOCK, "flags=int"),
    fexit("tcp_splice_read", "on_splice_read", SOCK),
)
# MPTCP's own splice() of 7.0; before, it calls what receives.
MPTCP_SPLICE = fexit("mptcp_splice_read", "on_mptcp_splice", SOCK)
RECV_AND_SPLICE = all_of(
    RECV_LENGTH,
    raw_tracepoint("tcp_rcv_space_adjust", "on_adjust", SK),
    enums={"TASK_PT_REGS": "bpf_func_id.BPF_FUNC_task_pt_regs"},
)
SENDMSG_PAIRS = (
    *(kprobe("inet_sendmsg", "at_sendmsg", SOCK), kretprobe("inet_sendmsg", "after_send")),
    *(kprobe("inet6_sendmsg", "at_sendmsg6", SOCK), kretprobe("inet6_sendmsg", "after_send")),
)
SENDPAGE_PAIR = (
    kprobe("inet_sendpage", "at_sendpage", SOCK),
    kretprobe("inet_sendpage", "after_send"),
)
SOME_SENDS = "of sends that wait at the same time only a few are seen, the others counted as lost"


class Tcptop(Probe):
    """TCP traffic as applications see it."""

    title = "TCP"
    purpose = "which process talks to whom over TCP, and how much"
    tables = (
        table(
            "connections",
            pid(),
            cgroup(),
            key(
                "family",
                "FAMILY",
                help="v4 or v6; v4 also where a v6 socket speaks IPv4",
                closed=True,
            ),
            key("proto", "PROTO", help="tcp or mptcp", closed=True),
            key("laddr", "LOCAL", role="laddr"),
            key("lport", "PORT", "id", role="lport"),
            key("raddr", "REMOTE", role="raddr"),
            key("rport", "PORT", "id", role="rport"),
            bytes_("tx_bytes", "TX/s", help="sent by the application, once each"),
            bytes_("rx_bytes", "RX/s", help="received by the application"),
            count("tx_calls", "SENDS/s", help="sends that took bytes"),
            count("rx_calls", "RECVS/s", help="receives that gave bytes"),
        ),
    )
    views = (
        View(
            "table",
            "connections",
            "Connections",
            columns=(
                *("pid", "proto", "laddr", "lport", "raddr", "rport"),
                *("rx_bytes", "tx_bytes", "rx_calls", "tx_calls"),
            ),
            sort="rx_bytes",
        ),
        View("chart", "connections", "Throughput", columns=("rx_bytes", "tx_bytes")),
        View(
            "stat",
            "connections",
            "Total",
            columns=("rx_bytes", "tx_bytes", "rx_calls", "tx_calls"),
        ),
    )
    hooks = (
        first_of(
            all_of(SEND_LENGTH, SENDPAGE),
            SEND_LENGTH,
            all_of(*SENDMSG, SENDPAGE),
            all_of(*SENDMSG),
            all_of(*SENDMSG_PAIRS, *SENDPAGE_PAIR, missing=SOME_SENDS),
            all_of(*SENDMSG_PAIRS, missing=SOME_SENDS),
        ),
        first_of(
            all_of(*RECV_AND_SPLICE.hooks, MPTCP_SPLICE, enums=RECV_AND_SPLICE.enums),
            RECV_AND_SPLICE,
            all_of(RECV_LENGTH, missing="bytes that are received by splice() are not seen"),
            all_of(*RECVMSG, MPTCP_SPLICE),
            all_of(*RECVMSG),
            all_of(
                raw_tracepoint("tcp_rcv_space_adjust", "on_advance", SK),
                missing="receives are counted by pieces of segments, and not those of MPTCP",
            ),
        ),
        raw_tracepoint("inet_sock_set_state", "on_state", SK),
        raw_tracepoint("tcp_destroy_sock", "on_destroy", SK),
    )
    offsets = {
        "SOCKET_SK": "socket.sk",
        "SK_FAMILY": "sock.__sk_common.skc_family",
        "SK_DPORT": "sock.__sk_common.skc_dport",
        "SK_SADDR": "sock.__sk_common.skc_rcv_saddr",
        "SK_DADDR": "sock.__sk_common.skc_daddr",
        "SK_SADDR6": "sock.__sk_common.skc_v6_rcv_saddr",
        "SK_DADDR6": "sock.__sk_common.skc_v6_daddr",
        "SK_FLAGS": "sock.__sk_common.skc_flags",
        "SK_PROTOCOL": "sock.sk_protocol",
        "INET_SPORT": "inet_sock.inet_sport",
        "COPIED_SEQ": "tcp_sock.copied_seq",
        "RCV_NXT": "tcp_sock.rcv_nxt",
        "REGS_CALL": ("pt_regs.orig_ax", "pt_regs.syscallno"),
    }
    enums = {"SOCK_DONE": "sock_flags.SOCK_DONE"}
    maps = {"connections": Layout("IHH16s16sH6x", values=4, who=True, double=True)}
    state = ("sockets", "marks")
    lost = {
        "CONNECTIONS": "rows beyond 16384",
        "SOCKETS": "sends and receives that the kernel had no memory to note",
        "SPLICES": "first splice() from a connection that was not seen to begin",
        "RECEIVES": "first receive from a connection that was not seen to begin",
        "SENDS": "sends whose end the kernel did not show",
    }
    help = (
        "Bytes are the application's, as its calls returned them: each byte once, without headers"
        " and retransmits. What is only looked at (MSG_PEEK) is not received yet. sendfile() and"
        " splice() move a large piece in several, each of which counts as a call. A socket that"
        " processes share has a row for each of them. Not seen: TCP_ZEROCOPY_RECEIVE,"
        " io_uring's splice from a socket, and, where Linux 7.0 or later refuses fexit, splice()"
        " from an MPTCP socket."
    )

    def read(self, maps: Mapping[str, Map], env: Env) -> dict[str, list[Row]]:
        """Rows of the interval."""
        return {
            "connections": env.rows(
                "connections",
                maps["connections"].drain(),
                connection,
                weight=(TX_BYTES, RX_BYTES),
            ),
        }


def connection(entry_key: tuple[Any, ...], cgroup_id: int) -> tuple[Any, ...]:
    """The key columns of a map entry."""
    process, lport, rport, local, remote, protocol = entry_key
    family, laddr = address(local)
    proto = "mptcp" if protocol == IPPROTO_MPTCP else "tcp"
    return process, cgroup_id, family, proto, laddr, lport, address(remote)[1], rport


@lru_cache(maxsize=4096)
def address(packed: bytes) -> tuple[str, str]:
    """Family and text of an address of 16 bytes, IPv4 ones as IPv6 maps them."""
    if packed.startswith(V4_IN_V6):
        return "v4", socket.inet_ntop(socket.AF_INET, packed[12:])
    return "v6", socket.inet_ntop(socket.AF_INET6, packed)
