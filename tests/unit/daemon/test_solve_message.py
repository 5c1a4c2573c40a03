"""A solve as BuildKit's own message."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildclient.daemon.solve_message import solve_message
from buildclient.proto import control_pb2 as pb
from buildclient.request.solve import CacheEntry, Exporter, SolveRequest

_RAW = st.binary(max_size=40)


def test_attributes_are_a_map_of_strings_on_the_wire() -> None:
    """Field 7, one entry each, key before value."""
    message = solve_message(SolveRequest("", "", {"label:a": "b"}), "")
    assert message.SerializeToString().startswith(b"\x3a\x0c\x0a\x07label:a\x12\x01b")


@given(st.dictionaries(_RAW, _RAW, max_size=4), _RAW)
def test_whatever_users_write_goes_as_it_is(attrs: dict[bytes, bytes], kind: bytes) -> None:
    """Also what is no UTF-8, or ten thousand characters: the daemon decides what to make of it."""
    texts = {k.decode(errors="surrogateescape"): v.decode(errors="surrogateescape") for k, v in attrs.items()}
    word = kind.decode(errors="surrogateescape")
    request = SolveRequest(
        "ref", "dockerfile.v0", texts, (Exporter(word, texts),), (CacheEntry(word, texts),), (), (word,)
    )
    read = pb.SolveRequest.FromString(solve_message(request, "session").SerializeToString())
    for entries in (
        read.frontend_attrs, read.exporter_attrs_deprecated, read.exporters[0].attrs, read.cache.exports[0].attrs,
    ):  # fmt: skip
        assert {entry.key: entry.value for entry in entries} == attrs
    assert [read.exporters[0].type, read.cache.exports[0].type, *read.entitlements] == [kind] * 3
