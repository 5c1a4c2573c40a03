"""DATA frames are taken out of the stream, and everything else is left to h2."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.session.dataframes import Data, DataFrames, GoAway, Outgoing, Window
from buildclient.session.wire import WireError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


_FRAMES = st.builds(
    _frame, st.integers(0, 9), st.sampled_from((0, 1, 8)), st.integers(0, 2**31 - 1), st.binary(max_size=40)
)


@given(st.lists(_FRAMES), st.integers(1, 60))
def test_nothing_is_lost_however_the_bytes_are_cut(frames: list[bytes], size: int) -> None:
    """All comes in its order; exactly the plain DATA frames, and GOAWAY, are taken out."""
    whole = _PREFACE + b"".join(frames)
    splitter = DataFrames()
    found = [part for at in range(0, len(whole), size) for part in splitter.feed(whole[at : at + size])]
    assert b"".join(part if isinstance(part, bytes) else part.frame for part in found) == whole
    taken = [part.frame for part in found if isinstance(part, Data)]
    assert taken == [frame for frame in frames if frame[3:5] == b"\0\0" and len(frame) > 9]
    away = [part.frame for part in found if isinstance(part, GoAway)]
    assert away == [frame for frame in frames if frame[3] == 7 and len(frame) >= 17]
    assert all(
        part.frame.endswith(part.payload) and len(part.payload) == len(part.frame) - 9
        for part in found
        if isinstance(part, Data)
    )


@pytest.mark.parametrize("kind", [0, 1, 7])
def test_a_frame_larger_than_was_agreed_on_is_refused(kind: int) -> None:
    """As soon as its length is known: it does not fill the memory."""
    splitter = DataFrames()
    list(splitter.feed(_PREFACE))
    with pytest.raises(WireError, match="a frame of 16385 bytes"):
        list(splitter.feed(_frame(kind, 0, 1, bytes(16385))[:9]))


def test_a_window_opens_by_quarters() -> None:
    """A frame for every small message would cost more than it gives."""
    window = Window(5, 1000)
    assert window.took(600)
    assert window.read(200) == b""
    assert window.read(100) == _frame(8, 0, 5, struct.pack(">I", 300))
    assert window.took(700)
    assert not window.took(1)


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(0, 70), min_size=1), st.integers(1, 20))
def test_what_waits_leaves_in_its_order(parts: list[bytes], sizes: list[int], largest: int) -> None:
    """In frames that are no larger than was agreed on, however it came and whatever may leave at a time."""
    waiting = Outgoing()
    waiting.add(*parts)
    whole, sent = b"".join(parts), b""
    for size in [*sizes, len(whole)]:
        before = waiting.size
        pieces = waiting.take(7, size, largest)
        assert before - waiting.size == min(size, before)
        for frame in DataFrames(of_client=False).feed(b"".join(pieces)):
            assert isinstance(frame, Data)
            assert frame.stream == 7
            assert len(frame.payload) <= largest
            sent += frame.payload
    assert sent == whole
    assert waiting.size == 0
