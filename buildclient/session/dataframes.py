"""Takes the DATA frames out of an HTTP/2 stream of bytes, before h2 sees them.

A result of 300 MB comes in twenty thousand frames of 16 KiB, as Go sends them, and what h2 does for each of them is the
largest part of the client's work. A plain DATA frame (no padding, no end of the stream) needs none of that but flow
control, which `Window` keeps.

Reference: RFC 9113, 4.1 (frames), 5.2 (flow control), 6.1 (DATA), 6.9 (WINDOW_UPDATE).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Data", "DataFrames", "Window"]

_PREFACE = 24
"""Bytes with which a client begins."""
_HEAD = struct.Struct(">HBBBI")
"""Length (two and one bytes), type, flags, stream."""
_SIZE = _HEAD.size
_LARGEST = 16384
"""Bytes of a frame's payload, as long as no other size was agreed on."""
_WINDOW_UPDATE = 8
_STREAM = 0x7FFFFFFF


class Data(NamedTuple):
    """A plain DATA frame."""

    stream: int
    payload: bytes
    frame: bytes
    """The whole frame, for h2."""


class DataFrames:
    """Splits the bytes of the peer, a client."""

    def __init__(self) -> None:
        self._buffer = b""
        self._preface = _PREFACE

    def feed(self, data: bytes) -> Iterator[Data | bytes]:
        """Returns DATA frames and the bytes between them, in their order; a frame that is not whole waits."""
        if self._preface:
            begin, data = data[: self._preface], data[self._preface :]
            self._preface -= len(begin)
            yield begin
        data = self._buffer + data if self._buffer else data
        at = begun = 0
        end = len(data)
        while end - at >= _SIZE:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            length = high << 8 | low
            if kind == 0 and flags == 0 and 0 < length <= _LARGEST:
                if at + _SIZE + length > end:
                    break
                if at > begun:
                    yield data[begun:at]
                frame = data[at : at + _SIZE + length]
                yield Data(stream & _STREAM, frame[_SIZE:], frame)
                at = begun = at + _SIZE + length
                continue
            if at + _SIZE + length > end:
                # Nothing but DATA is worth to be taken apart: h2 waits for the rest by itself.
                break
            at += _SIZE + length
        if at > begun:
            yield data[begun:at]
        self._buffer = data[at:]
        if len(self._buffer) > _SIZE + _LARGEST:
            # More than any frame may have: h2 says what is wrong with it.
            yield self._buffer
            self._buffer = b""


class Window:
    """What the peer may send on one stream, or on all, of what h2 does not see."""

    def __init__(self, stream: int, size: int) -> None:
        """`stream` is 0 for all."""
        self._stream = stream
        self._step = size // 4
        self._left = size
        self._owed = 0

    def took(self, size: int) -> bool:
        """Notes bytes that came; returns whether the peer was allowed to send them."""
        self._left -= size
        return self._left >= 0

    def read(self, size: int) -> bytes:
        """Notes bytes that were read; returns the frame that allows as many again, or nothing yet."""
        self._owed += size
        if self._owed < self._step:
            return b""
        owed, self._owed = self._owed, 0
        self._left += owed
        return _HEAD.pack(0, 4, _WINDOW_UPDATE, 0, self._stream) + struct.pack(">I", owed)
