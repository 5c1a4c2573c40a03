"""The framings of a session's bytes: what is written is read again, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.proto import control_pb2 as pb
from buildclient.session.wire import (
    GrpcReader,
    WireError,
    bytes_message,
    frame,
    frames,
    percent_encode,
    read_bytes_message,
)

MESSAGES = st.lists(st.binary(max_size=300), max_size=20)


@given(MESSAGES, st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_messages_come_back_however_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    """Frames packed together and cut anywhere give the same messages in order."""
    stream, reader, found, at, turn = frames(messages), GrpcReader(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += list(reader.feed(stream[at : at + size]))
        at, turn = at + size, turn + 1
    assert found == messages
    assert not reader.partial


@given(st.binary(max_size=70000))
def test_bytes_message_is_protobufs(data: bytes) -> None:
    """The hand-written BytesMessage is read by protobuf, and protobuf's by the hand-written reader."""
    assert pb.BytesMessage.FromString(bytes_message(data)).data == data
    assert bytes(read_bytes_message(pb.BytesMessage(data=data).SerializeToString())) == data


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    """A reader given anything raises nothing but WireError."""
    try:
        read_bytes_message(data)
        list(GrpcReader().feed(data))
    except WireError:
        pass


def test_a_compressed_message_is_refused() -> None:
    """Compression was not agreed on, so its flag is a broken stream."""
    with pytest.raises(WireError, match="compressed"):
        list(GrpcReader().feed(b"\x01" + frame(b"abc")[1:]))


@given(st.text())
def test_error_texts_are_plain_ascii_headers(text: str) -> None:
    """A grpc-message holds printable ASCII alone, and decodes to the text."""
    from urllib.parse import unquote

    encoded = percent_encode(text)
    assert all(" " <= sign <= "~" for sign in encoded)
    assert unquote(encoded, errors="replace") == text.encode(errors="replace").decode()
