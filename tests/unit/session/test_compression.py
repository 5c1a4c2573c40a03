"""What a stream compresses follows from its link, the processor and the files."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.session.compression import Compression, Drain

_TEXT = b"".join(b"line %d of a text\n" % number for number in range(8000))
_NOISE = random.Random(1).randbytes(100_000)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def tick(self) -> float:
        """A quick compressor's clock: each look is 10 µs later."""
        self.now += 1e-5
        return self.now


def drain(rate: float, latency: float = 0.0) -> Drain:
    """A drain that has seen a second of a link of so many bytes per second."""
    clock = Clock()
    found = Drain(latency, clock)
    for _ in range(101):
        found.took(int(rate / 100), 1)
        clock.now += 0.01
    return found


def unpacked(data: bytes) -> list[tuple[bool, bytes]]:
    """Messages, and whether each was compressed."""
    found = []
    while data:
        length = int.from_bytes(data[1:5], "big")
        body, flag = data[5 : 5 + length], bool(data[0])
        found.append((flag, zlib.decompress(body, 31) if flag else body))
        data = data[5 + length :]
    return found


@given(st.lists(st.one_of(st.binary(max_size=600), st.binary(max_size=40).map(lambda data: data * 30))))
def test_the_daemon_reads_what_was_written(messages: list[bytes]) -> None:
    """Messages come out as they went in, in their order."""
    packing = Compression(drain(1e6))
    assert [message for _, message in unpacked(packing.frames(messages))] == messages


@pytest.mark.parametrize(("rate", "pays"), [(1e5, True), (10e6, True), (60e6, False), (1e9, False)])
def test_only_a_slow_link_is_compressed_for(rate: float, pays: bool) -> None:
    """The compressor has to be several times as fast as the link."""
    assert drain(rate).rate == pytest.approx(rate, rel=0.05)
    assert Compression(drain(rate)).pays is pays


def test_before_the_link_is_known_distance_decides() -> None:
    """A daemon nearby gets plain messages, one far away compressed ones."""
    assert not Compression(Drain(0.001)).pays
    assert Compression(Drain(0.03)).pays


def test_a_link_that_waits_for_us_is_not_measured() -> None:
    """Time in which nothing was waiting to be sent does not count."""
    clock = Clock()
    found = Drain(0.0, clock)
    for _ in range(100):
        found.took(1000, 0)
        clock.now += 1
    assert found.rate is None


def test_compressed_files_are_left_alone() -> None:
    """What hardly shrinks goes plain, and fewer and fewer of it are tried."""
    packing = Compression(drain(1e6), Clock().tick)
    flags = [flag for flag, _ in unpacked(packing.frames([_NOISE] * 40))]
    assert not any(flags)
    assert (packing.plain, packing.sent) == (0, 0)
    later = [flag for flag, _ in unpacked(packing.frames([_TEXT] * 70))]
    assert later[-1], "text that follows is compressed again"


def test_small_messages_go_plain() -> None:
    """Their heads would eat up what is won."""
    assert unpacked(Compression(drain(1e6)).frames([b"a" * 255, b"a" * 256])) == [
        (False, b"a" * 255),
        (True, b"a" * 256),
    ]


def test_a_slow_processor_stops_it() -> None:
    """A compressor that turns out to be slower than the link is not used on."""
    clock = Clock()

    def slow() -> float:
        clock.now += 0.5
        return clock.now

    packing = Compression(drain(10e6), slow)
    assert packing.pays
    for _ in range(20):
        packing.frames([_TEXT])
    assert not packing.pays


def test_what_was_won_is_counted() -> None:
    """Before and after, of the messages that were compressed."""
    packing = Compression(drain(1e6))
    sent = packing.frames([_TEXT, b"small"])
    assert packing.plain == len(_TEXT)
    assert len(sent) == packing.sent + 5 + 5 + len(b"small")
    assert packing.sent < len(_TEXT) / 3
