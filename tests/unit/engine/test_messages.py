"""What engines say."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.platform import Platform
from buildclient.engine.messages import (
    LoadMessage,
    LoadMessageReader,
    MessageError,
    error_text,
    read_info,
    read_message,
)

_STREAM = (
    b'{"status":"Loading layer","progressDetail":{"current":32,"total":99},"progress":"[=>]","id":"ab"}\r\n'
    b'{"status":"Loading layer","progressDetail":{},"id":"ab"}\r\n'
    b'{"stream":"Loaded image: a:1\\n"}\r\n'
    b'{"errorDetail":{"message":"no space"},"error":"no space"}'
)
_MESSAGES = [
    LoadMessage("ab", "Loading layer", 32, 99, has_progress=True),
    LoadMessage("ab", "Loading layer"),
    LoadMessage(stream="Loaded image: a:1\n"),
    LoadMessage(error="no space"),
]


@given(st.lists(st.integers(0, len(_STREAM)), max_size=6))
def test_messages_are_the_same_in_whatever_pieces(cuts: list[int]) -> None:
    """The last one needs no line break."""
    reader, found = LoadMessageReader(), []
    places = [0, *sorted(cuts), len(_STREAM)]
    for start, end in pairwise(places):
        found += reader.feed(_STREAM[start:end])
    assert [*found, *reader.end()] == _MESSAGES


@pytest.mark.parametrize("line", [b"x", b"[]", b"\xff", b"{" * 5000])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    """A proxy's page, for one."""
    with pytest.raises(MessageError):
        read_message(line)


def test_a_message_without_end_is_refused() -> None:
    """Memory has a bound."""
    reader = LoadMessageReader()
    reader.feed(b"x" * (1 << 20))
    with pytest.raises(MessageError, match="too long"):
        reader.feed(b"x")


def test_an_engine_says_what_it_runs() -> None:
    """Docker's names of machines, and Go's as Podman gives them; the containerd image store takes an index."""
    info = {"OSType": "linux", "Architecture": "aarch64", "ServerVersion": "1", "DriverStatus": [["a", "b"]]}
    assert read_info(json.dumps(info).encode()) == (Platform("linux", "arm64"), False, "1")
    info["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    assert read_info(json.dumps(info).encode()).takes_index
    assert read_info(b'{"Architecture": "amd64"}').platform == Platform("linux", "amd64")
    assert read_info(b'{"Architecture": "armv7l"}').platform == Platform("linux", "arm", "v7")
    assert read_info(b'{"Architecture": "i686"}').platform == Platform("linux", "386")
    assert read_info(b'{"Architecture": "", "DriverStatus": null}') == (None, False, "")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"message":"denied by policy"}', "denied by policy"),
        (b"<html>\n", "403 Forbidden: <html>"),
        (b"", "403 Forbidden"),
    ],
)
def test_a_refusal_is_told_in_the_engine_s_words(data: bytes, text: str) -> None:
    """Or with the status, where it has none."""
    assert error_text(data, 403, "Forbidden") == text
