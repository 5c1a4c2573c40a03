"""Protobuf's base-128 varints, coded by hand for speed.

Reference: https://protobuf.dev/programming-guides/encoding/#varints
"""

from __future__ import annotations

__all__ = ["VarintError", "decode_varint", "encode_varint"]

_SMALL = tuple(bytes((n,)) for n in range(0x80))


class VarintError(ValueError):
    """The bytes end inside a varint, or the varint has more than ten bytes."""


def encode_varint(value: int) -> bytes:
    """Encodes a number; negative ones as 64-bit two's complement."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at an offset, and the offset after it. Raises VarintError."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise VarintError("ends inside a number")
