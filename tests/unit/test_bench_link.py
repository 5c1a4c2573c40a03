"""The link of the benchmarks has the rate and the round trip that it is given."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.link import link, running

_SIZE = 2 << 20


@pytest.fixture
def sink() -> Iterator[int]:
    """A server that answers one byte for the first and one for the end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.recv(1)
                sock.sendall(b"1")
                while sock.recv(1 << 20):
                    pass
                sock.sendall(b"2")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _timed(port: int) -> tuple[float, float]:
    """Seconds of a handshake with one question, and of `_SIZE` bytes with their answer."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"0")
        assert sock.recv(1) == b"1"
        asked = time.perf_counter()
        sock.sendall(bytes(_SIZE))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"2"
        return asked - begun, time.perf_counter() - asked


@pytest.mark.alone
@pytest.mark.parametrize(("rtt", "rate"), [(0.0, 4e6), (0.1, 0.0), (0.1, 8e6)])
def test_a_link_has_its_rate_and_its_round_trip(sink: int, rtt: float, rate: float) -> None:
    """A question takes a handshake and a round trip; a mass of bytes its size by the rate."""
    with link("127.0.0.1", sink, rtt=rtt, rate=rate) as port:
        question, mass = min(_timed(port) for _ in range(2))
    assert 2 * rtt <= question < 2 * rtt + 0.15
    expected = rtt + (_SIZE / rate if rate else 0)
    assert expected * 0.95 <= mass < expected * 1.1 + 0.15


def test_a_link_counts_what_it_is_given(sink: int) -> None:
    """Both directions together."""
    with running("127.0.0.1", sink) as started:
        _timed(started.port)
        assert started.carried() == 1 + 1 + _SIZE + 1
