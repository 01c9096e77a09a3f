"""What tcptop makes of its map's entries."""

from __future__ import annotations

import ipaddress

import pytest

TCP, MPTCP = 6, 262


def packed(address: str) -> bytes:
    """As the C file holds it: 16 bytes, IPv4 as IPv6 maps it."""
    parsed = ipaddress.ip_address(address)
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed


def key(local="10.0.0.1", remote="10.0.0.2", protocol=TCP, pid=77, lport=40000, rport=443):
    return pid, lport, rport, packed(local), packed(remote), protocol


def rows(read, *entries, **options):
    return read("tcptop", connections=entries, **options)["connections"]


def test_a_row_says_who_talks_to_whom_and_how_much(read):
    assert rows(read, (key(), (1000, 50, 3, 2))) == [
        {
            "pid": 77,
            "cgroup": 0,
            "family": "v4",
            "proto": "tcp",
            "laddr": "10.0.0.1",
            "lport": 40000,
            "raddr": "10.0.0.2",
            "rport": 443,
            "tx_bytes": 1000,
            "rx_bytes": 50,
            "tx_calls": 3,
            "rx_calls": 2,
        }
    ]


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("127.0.0.1", "v4"),
        ("255.255.255.255", "v4"),
        ("::1", "v6"),
        ("fe80::1", "v6"),
        ("2001:db8::ffff:10.0.0.1", "v6"),
    ],
)
def test_addresses_read_as_they_are_written(read, address, family):
    (row,) = rows(read, (key(address, address), (1, 1, 1, 1)))
    assert row["family"] == family
    assert ipaddress.ip_address(row["laddr"]) == ipaddress.ip_address(address)
    assert row["raddr"] == row["laddr"]


@pytest.mark.parametrize(("protocol", "name"), [(TCP, "tcp"), (MPTCP, "mptcp")])
def test_mptcp_can_be_told_apart(read, protocol, name):
    (row,) = rows(read, (key(protocol=protocol), (1, 1, 1, 1)))
    assert row["proto"] == name


def test_two_processes_on_one_connection_have_a_row_each(read):
    got = rows(read, (key(pid=1), (5, 0, 1, 0)), (key(pid=2), (7, 0, 1, 0)))
    assert {row["pid"]: row["tx_bytes"] for row in got} == {1: 5, 2: 7}


def test_beyond_the_limit_those_that_move_most_are_kept_and_totals_hold(read):
    entries = [(key(lport=port), (port, 10 * port, 1, 1)) for port in range(1, 11)]
    got = rows(read, *entries, limit=3)
    assert {row["lport"] for row in got[:-1]} == {8, 9, 10}
    assert got[-1]["pid"] is None
    assert sum(row["tx_bytes"] for row in got) == 55
    assert sum(row["rx_bytes"] for row in got) == 550
