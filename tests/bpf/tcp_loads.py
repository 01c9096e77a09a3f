"""Loops over loopback TCP that know what they sent and received, each end in its own process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from pathlib import Path
from typing import NamedTuple

SIZE = 3_000_001
CHUNK = 65536
LOOPBACK = {"v4": (socket.AF_INET, "127.0.0.1"), "v6": (socket.AF_INET6, "::1")}
MSG_ZEROCOPY, SO_ZEROCOPY = 0x4000000, 60  # include/linux/socket.h, asm-generic/socket.h
libc = ctypes.CDLL(None, use_errno=True)


class Pair(NamedTuple):
    client: socket.socket
    server: socket.socket

    def close(self) -> None:
        self.client.close()
        self.server.close()


def connect(family: str, protocol: int = 0) -> Pair:
    kind, host = LOOPBACK[family]
    with socket.socket(kind, socket.SOCK_STREAM, protocol) as listener:
        listener.bind((host, 0))
        listener.listen()
        client = socket.socket(kind, socket.SOCK_STREAM, protocol)
        client.connect(listener.getsockname())
        return Pair(client, listener.accept()[0])


@contextlib.contextmanager
def process(work, *arguments):
    """Run something in a process of its own; it has ended well when the block ends."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work(*arguments)
            status = 0
        finally:
            os._exit(status)
    try:
        yield pid
    finally:
        _, status = os.waitpid(pid, 0)
    assert status == 0, f"{work.__name__} failed in its process"


@contextlib.contextmanager
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def splice(source: int, target: int, length: int) -> int:
    moved: int = libc.splice(source, None, target, None, ctypes.c_size_t(length), 0)
    assert moved >= 0, os.strerror(ctypes.get_errno())
    return moved


# Senders: all of SIZE bytes, then the end of the stream.


def send_all(sock):
    sock.sendall(bytes(SIZE))


def send_small(sock):
    for start in range(0, SIZE, 100):
        sock.sendall(bytes(min(100, SIZE - start)))


def send_by_write(sock):
    left = SIZE
    while left:
        left -= os.write(sock.fileno(), bytes(min(left, CHUNK)))


def send_without_copy(sock):
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    data, left = bytes(CHUNK), SIZE
    while left:
        left -= sock.send(data[:left], MSG_ZEROCOPY)


@contextlib.contextmanager
def zeros():
    fd = os.memfd_create("load")
    os.truncate(fd, SIZE)
    yield fd
    os.close(fd)


def send_file(sock):
    with zeros() as fd:
        sent = 0
        while sent < SIZE:
            sent += os.sendfile(sock.fileno(), fd, sent, SIZE - sent)


def splice_in(sock):
    with zeros() as fd, pipe() as (reader, writer):
        left = SIZE
        while left:
            piece = splice(fd, writer, min(left, CHUNK))
            left -= piece
            while piece:
                piece -= splice(reader, sock.fileno(), piece)


# Receivers: to the end of the stream, which must come after SIZE bytes.


def receive_all(sock):
    got = 0
    while data := sock.recv(CHUNK):
        got += len(data)
    assert got == SIZE


def receive_by_read(sock):
    got = 0
    while data := os.read(sock.fileno(), CHUNK):
        got += len(data)
    assert got == SIZE


def peek_first(sock):
    got = 0
    while sock.recv(CHUNK, socket.MSG_PEEK):
        got += len(sock.recv(CHUNK))
    assert got == SIZE


def receive_truncated(sock):
    got = 0
    buffer = bytearray(CHUNK)
    while size := sock.recv_into(buffer, CHUNK, socket.MSG_TRUNC):
        got += size
    assert got == SIZE


def receive_and_wait(sock):
    got = 0
    while data := sock.recv(CHUNK, socket.MSG_WAITALL):
        got += len(data)
    assert got == SIZE


def splice_out(sock, got=0):
    with pipe() as (reader, writer), Path(os.devnull).open("wb") as nowhere:
        while piece := splice(sock.fileno(), writer, CHUNK):
            got += piece
            while piece:
                piece -= splice(reader, nowhere.fileno(), piece)
    assert got == SIZE


def receive_then_splice(sock):
    got = sum(len(sock.recv(1000)) for _ in range(50))
    splice_out(sock, got)


def splice_then_receive(sock):
    with pipe() as (_, writer):
        got = splice(sock.fileno(), writer, 1000)
    while data := sock.recv(CHUNK):
        got += len(data)
    assert got == SIZE


def drink(sock):
    while sock.recv(CHUNK):
        pass


LOADS = {
    "sendall to recv": (send_all, receive_all),
    "small sends": (send_small, receive_all),
    "write to read": (send_by_write, receive_by_read),
    "MSG_ZEROCOPY": (send_without_copy, receive_all),
    "sendfile": (send_file, receive_all),
    "splice to a socket": (splice_in, receive_all),
    "MSG_PEEK first": (send_all, peek_first),
    "MSG_TRUNC": (send_all, receive_truncated),
    "MSG_WAITALL": (send_small, receive_and_wait),
    "splice from a socket": (send_all, splice_out),
    "splice from a socket after recv": (send_all, receive_then_splice),
    "recv after splice from a socket": (send_all, splice_then_receive),
}


def run(pair, send, receive):
    """One direction, client to server, each end in a process of its own; returns their pids."""

    def sending():
        pair.server.close()
        send(pair.client)
        pair.client.shutdown(socket.SHUT_WR)

    with process(receive, pair.server) as receiver, process(sending) as sender:
        pair.close()
    return sender, receiver
