"""The SSH agent protocol's messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.session import agentwire as wire


@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 9))
def test_messages_survive_any_cut(messages: list[bytes], size: int) -> None:
    """However the stream is cut, the same messages come out."""
    stream = b"".join(map(wire.packed, messages))
    reader = wire.AgentMessages()
    found = [one for at in range(0, len(stream), size) for one in reader.feed(stream[at : at + size])]
    assert found == messages


@pytest.mark.parametrize("length", [0, wire.MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_refused_before_its_bytes_come(length: int) -> None:
    """Neither an empty message nor one of more than 256 KiB is waited for."""
    with pytest.raises(wire.AgentError):
        list(wire.AgentMessages().feed(length.to_bytes(4, "big")))


@given(st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 0xFFFFFFFF))
def test_a_sign_request_is_read(key: bytes, data: bytes, flags: int) -> None:
    """Key, data and flags as they were written; every shorter or longer message is refused."""
    message = bytes((wire.SIGN,)) + wire.string(key) + wire.string(data) + flags.to_bytes(4, "big")
    assert wire.read_sign_request(message) == (key, data, flags)
    for wrong in (message[:-1], message + b"\0", message[:3]):
        with pytest.raises(wire.AgentError):
            wire.read_sign_request(wrong)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, b""), (1, b"\1"), (127, b"\x7f"), (128, b"\0\x80"), (256, b"\1\0"), (65535, b"\0\xff\xff")],
)
def test_mpints_are_positive_and_shortest(number: int, written: bytes) -> None:
    """A zero byte stands before a set highest bit, and nowhere else (RFC 4251)."""
    assert wire.mpint(number) == wire.string(written)
