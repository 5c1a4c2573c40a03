"""DATA frames of HTTP/2 past h2, in both directions.

300 MB are twenty thousand frames of 16 KiB, which is what Go sends and takes, and what h2 does for each of them is the
largest part of the client's work. A plain DATA frame (no padding, no end of the stream) needs none of that but flow
control: `Window` keeps it for what comes, h2's own counts for what goes.

Reference: RFC 9113, 4.1 (frames), 5.2 (flow control), 6.1 (DATA), 6.8 (GOAWAY), 6.9 (WINDOW_UPDATE).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from buildclient.session.wire import WireError

__all__ = ["Data", "DataFrames", "GoAway", "Outgoing", "Window"]

_PREFACE = 24
"""Bytes with which a client begins."""
_HEAD = struct.Struct(">HBBBI")
"""Length (two and one bytes), type, flags, stream."""
_SIZE = _HEAD.size
_LARGEST = 16384
"""Bytes of a frame's payload, as long as no other size was agreed on."""
_WINDOW_UPDATE = 8
_GOAWAY = 7
_LAST = struct.Struct(">II")
"""Of a GOAWAY frame: the last stream that is served, the code."""
_STREAM = 0x7FFFFFFF


class Data(NamedTuple):
    """A plain DATA frame."""

    stream: int
    payload: bytes
    frame: bytes
    """The whole frame, for h2."""


class GoAway(NamedTuple):
    """A GOAWAY frame: no more calls, while those up to `last` go on."""

    last: int
    code: int
    text: str
    frame: bytes
    """The whole frame, for h2."""


class DataFrames:
    """Splits the bytes of the peer."""

    def __init__(self, *, of_client: bool = True) -> None:
        """A client begins with a preface."""
        self._buffer = b""
        self._preface = _PREFACE if of_client else 0

    def feed(self, data: bytes) -> Iterator[Data | GoAway | bytes]:
        """Returns DATA and GOAWAY frames and the bytes between them, in order; a frame that is not whole waits.

        Raises WireError for a frame that is larger than was agreed on.
        """
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
            if length > _LARGEST:
                raise WireError(f"a frame of {length} bytes is larger than was agreed on")
            if kind == 0 and flags == 0 and length:
                if at + _SIZE + length > end:
                    break
                if at > begun:
                    yield data[begun:at]
                frame = data[at : at + _SIZE + length]
                yield Data(stream & _STREAM, frame[_SIZE:], frame)
                at = begun = at + _SIZE + length
                continue
            if at + _SIZE + length > end:
                # Nothing else is worth to be taken apart: h2 waits for the rest by itself.
                break
            if kind == _GOAWAY and length >= _LAST.size:
                if at > begun:
                    yield data[begun:at]
                frame = data[at : at + _SIZE + length]
                last, code = _LAST.unpack_from(frame, _SIZE)
                yield GoAway(last & _STREAM, code, frame[_SIZE + _LAST.size :].decode(errors="replace"), frame)
                at = begun = at + _SIZE + length
                continue
            at += _SIZE + length
        if at > begun:
            yield data[begun:at]
        self._buffer = data[at:]


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


class Outgoing:
    """Bytes of one stream that wait to be sent; they are not copied, so they must not change."""

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()
        self.size = 0
        """Bytes that wait."""

    def add(self, *parts: bytes | memoryview) -> None:
        """Puts bytes behind the others."""
        for part in parts:
            if part:
                self._parts.append(memoryview(part))
                self.size += len(part)

    def take(self, stream: int, size: int, largest: int) -> list[bytes | memoryview]:
        """Returns the pieces of DATA frames with the next `size` bytes, `largest` bytes in each at most."""
        pieces: list[bytes | memoryview] = []
        left = min(size, self.size)
        self.size -= left
        while left:
            length = min(left, largest)
            left -= length
            pieces.append(_HEAD.pack(length >> 8, length & 0xFF, 0, 0, stream))
            while length:
                part = self._parts[0]
                if len(part) > length:
                    pieces.append(part[:length])
                    self._parts[0] = part[length:]
                    break
                pieces.append(self._parts.popleft())
                length -= len(part)
        return pieces
