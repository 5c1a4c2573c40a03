"""Decides which messages of a stream are compressed, and compresses them: gRPC's gzip, message by message.

A context of text is a third of its size, which helps where the link is the limit and costs where the processor is. So
a stream is compressed while its link drains much less than the compressor gives; until that is known, if the daemon is
far away.
Compressed files are left alone: a message that hardly shrinks makes the next ones go plain, more each time.
Reference: "Compression" in gRPC's documentation; grpc-go decompresses what has the flag (rpc_util.go).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from buildclient.session.wire import PREFIX

__all__ = ["ENCODING", "Compression", "Drain"]

ENCODING = "gzip"
_GZIP = 16 + 15
"""zlib's window bits for a gzip stream."""
_LEVELS = ((6, 30e6), (3, 75e6), (1, 100e6))
"""zlib's levels, and the bytes of text per second that each takes in on the machine that this was measured on."""
_SMALLEST = 256
"""Bytes of a message below which its head would eat up what is won."""
_WORTH = 0.9
"""A message that is not at least this much smaller is sent as it is."""
_MOST_SKIPPED = 64
_MARGIN = 4.0
"""How many times the link's rate the compressor has to reach: it takes processor time that others want too."""
_PERIOD = 0.1
"""Seconds of a busy link that its rate is taken from."""
_FIRST_PERIOD = 0.5
"""The same for the first time on a long link: at first it is the buffers that fill."""
_FAR = 0.01
"""Seconds to the daemon's first word from which on it is far away."""
_ASSUMED = 0.7
"""This machine's speed by that of `_LEVELS`, until it has been measured."""


class Drain:
    """How fast a stream's bytes go, while more of them wait."""

    def __init__(self, latency: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`latency`: seconds from the first word to the daemon until its own."""
        self.far = latency >= _FAR
        self.rate: float | None = None
        """Bytes per second; None until the link has been busy for long enough."""
        self._clock = clock
        self._since: float | None = None
        self._bytes = 0
        self._busy = 0.0
        self._period = _FIRST_PERIOD if self.far else _PERIOD

    def took(self, size: int, left: int) -> None:
        """Notes that `size` bytes were sent and that `left` are waiting."""
        now = self._clock()
        if self._since is not None:
            self._busy += now - self._since
            self._bytes += size
        self._since = now if left else None
        if self._busy >= self._period:
            self._period = _PERIOD
            self.rate = self._bytes / self._busy
            self._bytes, self._busy = 0, 0.0


class Compression:
    """The compression of one stream."""

    def __init__(self, drain: Drain, clock: Callable[[], float] = time.perf_counter) -> None:
        self.drain = drain
        self._clock = clock
        self._machine = _ASSUMED
        self._skip = self._skipped = 0
        self.plain = self.sent = 0
        """Bytes of the messages that were compressed, before and after."""

    @property
    def pays(self) -> bool:
        """Whether the link is slow enough for compression to pay."""
        return self._level() is not None

    def _level(self) -> tuple[int, float] | None:
        """The best level that is fast enough for the link, with its speed; None for no compression."""
        rate = self.drain.rate
        if rate is None:
            return _LEVELS[-1] if self.drain.far else None
        return next((one for one in _LEVELS if one[1] * self._machine > rate * _MARGIN), None)

    def frames(self, messages: Sequence[bytes]) -> bytes:
        """Returns the messages with gRPC's prefix, compressed where it is worth it; for one thread at a time."""
        parts: list[bytes] = []
        level = self._level() or _LEVELS[-1]
        for message in messages:
            packed = self._packed(message, *level)
            body = message if packed is None else packed
            parts += (PREFIX.pack(packed is not None, len(body)), body)
        return b"".join(parts)

    def _packed(self, message: bytes, level: int, nominal: float) -> bytes | None:
        if len(message) < _SMALLEST:
            return None
        if self._skip:
            self._skip -= 1
            return None
        begun = self._clock()
        packed = _compressed(message, level)
        taken = max(self._clock() - begun, 1e-9)
        if len(packed) > len(message) * _WORTH:
            self._skipped = self._skip = min(max(1, 2 * self._skipped), _MOST_SKIPPED)
            return None
        self._skipped = 0
        # Of large ones alone: a small one's time is that of the call.
        if len(message) >= 1 << 14:
            self._machine += 0.2 * (len(message) / taken / nominal - self._machine)
        self.plain += len(message)
        self.sent += len(packed)
        return packed


def _compressed(message: bytes, level: int) -> bytes:
    import zlib

    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return packer.compress(message) + packer.flush()
