"""The two framings around a session's messages: gRPC's five-byte prefix and BuildKit's BytesMessage.

Both are coded by hand for speed: every byte of a context passes through them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from urllib.parse import quote

from buildclient.session.varint import VarintError, decode_varint, encode_varint

__all__ = [
    "PREFIX",
    "GrpcReader",
    "WireError",
    "bytes_head",
    "bytes_message",
    "frame",
    "frames",
    "percent_encode",
    "read_bytes_message",
]

PREFIX = struct.Struct(">BI")
"""gRPC's prefix of a message: whether it is compressed, its length in bytes."""
_MAX_MESSAGE = 64 << 20
"""Maximum bytes of a message; no valid message of a session comes near it."""


class WireError(Exception):
    """Bytes that are not a gRPC message or not a BytesMessage."""


def frame(*parts: bytes | memoryview) -> bytes:
    """Returns one message with gRPC's prefix (uncompressed, length in bytes)."""
    return b"".join((PREFIX.pack(0, sum(map(len, parts))), *parts))


def frames(messages: list[bytes]) -> bytes:
    """Returns many messages, each with its prefix."""
    pack = PREFIX.pack
    return b"".join([part for message in messages for part in (pack(0, len(message)), message)])


class GrpcReader:
    """Splits a stream of bytes into gRPC messages."""

    def __init__(self, most: int = _MAX_MESSAGE) -> None:
        """`most` is how many bytes a message may have."""
        self._buffer = bytearray()
        self._most = most

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Returns the messages that `data` completes. Raises WireError."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 5:
            compressed, length = PREFIX.unpack_from(buffer, at)
            if compressed:
                raise WireError("the daemon sent a compressed message, which was not agreed on")
            if length > self._most:
                raise WireError(f"a message of {length} bytes is longer than any of this protocol")
            if len(buffer) - at - 5 < length:
                break
            yield bytes(buffer[at + 5 : at + 5 + length])
            at += 5 + length
        del buffer[:at]

    @property
    def partial(self) -> bool:
        """Whether the stream is in the middle of a message."""
        return bool(self._buffer)


def bytes_head(size: int) -> bytes:
    """What goes before `size` bytes of data to make them a `moby.buildkit.v1.BytesMessage` (field 1)."""
    return b"\x0a" + encode_varint(size)


def bytes_message(data: bytes | memoryview) -> bytes:
    """`moby.buildkit.v1.BytesMessage{data}`."""
    return b"".join((bytes_head(len(data)), data))


def read_bytes_message(message: bytes) -> bytes | memoryview:
    """Decodes the data of a BytesMessage. Raises WireError."""
    if not message:
        return b""
    if message[0] != 0x0A:
        raise WireError("a session message has a field that BytesMessage does not have")
    try:
        length, at = decode_varint(message, 1)
    except VarintError as error:
        raise WireError(f"a session message {error}") from None
    if at + length != len(message):
        raise WireError("a session message's length is wrong")
    return memoryview(message)[at:]


def percent_encode(text: str) -> str:
    """Encodes `grpc-message` as in the gRPC over HTTP/2 specification."""
    return quote(text.encode(errors="replace"), safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
