"""Protobuf's numbers, beside protobuf's own coding of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from buildclient.proto import control_pb2 as pb
from buildclient.session.varint import VarintError, decode_varint, encode_varint


@given(some.integers(-(1 << 63), (1 << 63) - 1))
def test_a_number_is_coded_as_protobuf_does(value: int) -> None:
    """Negative ones too, as 64-bit two's complement."""
    if value:  # proto3 omits zero
        assert pb.VertexStatus(current=value).SerializeToString() == b"\x20" + encode_varint(value)
    assert decode_varint(b"x" + encode_varint(value) + b"y", 1) == (
        value & (1 << 64) - 1,
        1 + len(encode_varint(value)),
    )


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 11])
def test_bytes_that_end_inside_a_number_are_refused(data: bytes) -> None:
    """So are numbers that never end."""
    with pytest.raises(VarintError):
        decode_varint(data, 0)
