"""The counter of round trips counts those in a row, and those alone."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.trips import Relay, counting

_RTT = 0.04


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A counter in front of a server that answers each byte with one."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(1):
                sock.sendall(data)

    def serve() -> None:
        while True:
            try:
                threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    with counting("127.0.0.1", listener.getsockname()[1], rtt=_RTT) as one:
        yield one
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _received(sock: socket.socket, left: int) -> None:
    # MSG_WAITALL does not wait on a socket with a time limit.
    while left:
        left -= len(sock.recv(left))


def _asked(relay: Relay, questions: int, sent: bytes = b"?", pause: float = 0.0) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), 10) as sock:
        for _ in range(questions):
            sock.sendall(sent)
            _received(sock, len(sent))
            time.sleep(pause)


def test_questions_in_a_row_are_counted(relay: Relay) -> None:
    """One more for TCP's handshake; time that the client takes counts for nothing."""
    _asked(relay, 3, pause=3 * _RTT)
    assert relay.trips.count == 4
    assert relay.trips.connections == 1


def _at_once(relay: Relay) -> None:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 10)) for _ in range(3)]
        for _ in range(2):
            for sock in socks:
                sock.sendall(b"??")
            for sock in socks:
                _received(sock, 2)


def test_what_is_asked_at_once_is_counted_once(relay: Relay) -> None:
    """On one connection and on several; a second connection after the first costs its handshake again."""
    counts = []
    # On a machine that is busy the last of three may be late: the least of several is what is asked at once.
    while 3 not in counts and len(counts) < 10:
        relay.reset()
        _at_once(relay)
        counts.append(relay.trips.count)
    assert min(counts) == 3
    _asked(relay, 1)
    assert relay.trips.count == 5
    assert relay.trips.connections == 4


def test_a_count_begins_anew(relay: Relay) -> None:
    """For each command that is measured."""
    _asked(relay, 2)
    relay.reset()
    _asked(relay, 1)
    assert (relay.trips.count, relay.trips.connections) == (2, 1)


def test_what_comes_for_a_client_that_has_closed_is_not_counted(relay: Relay) -> None:
    """The next command's count begins at 0, whatever the far side still says to the last one."""
    with socket.create_connection(("127.0.0.1", relay.port), 10) as sock:
        sock.sendall(b"?")
        # The question reaches the far side after one and a half round trips, the close a moment later.
        time.sleep(1.25 * _RTT)
    relay.reset()
    time.sleep(4 * _RTT)
    assert relay.trips.count == 0
