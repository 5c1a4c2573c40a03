"""Entries of a tar are found as Python's tarfile finds them, without being kept."""

from __future__ import annotations

import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from buildclient.results.tarscan import entries
from tests.unit.node_archives import tar_of


@settings(max_examples=100, deadline=None)
@given(
    files=some.dictionaries(
        some.sampled_from(["a", "b/", "é" * 30, "n" * 99, "n" * 101, "d/" * 90 + "f", "n" * 300]),
        some.binary(max_size=1200),
    ),
    format=some.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_entries_are_those_that_tarfile_finds(files: dict[str, bytes], format: int) -> None:
    """Names of any length in both formats, sizes and places."""
    files = {name: b"" if name.endswith("/") else data for name, data in files.items()}
    data = tar_of(files, format)
    found = list(entries(io.BytesIO(data), len(data)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
    assert [(e.name.decode().rstrip("/"), e.size, e.data) for e in found] == [
        (m.name, m.size, m.offset_data) for m in members
    ]
    assert [data[e.data : e.data + e.size] for e in found] == list(files.values())
    assert [e.start for e in found] == [0, *(e.end for e in found[:-1])][: len(found)]


def test_a_size_of_more_than_octal_digits_hold_is_read() -> None:
    """As of a layer of 9 GiB, in the extended header or in base 256; its bytes may be missing."""
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        member = tarfile.TarInfo("big")
        member.size = 9 << 30
        assert next(entries(io.BytesIO(member.tobuf(format)), 10 << 30)).size == 9 << 30


def _extended(content: bytes, size: int = 0) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = b"x", size or len(content)
    return member.tobuf(tarfile.USTAR_FORMAT) + content.ljust(512, b"\0") + tar_of({"a": b""})


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 512,
        b"short",
        tarfile.TarInfo("a").tobuf()[:-1],
        tar_of({"a": b"x" * 2000})[:1000],
        _extended(b"", size=1 << 30),
        _extended(b"no length at all\n"),
        _extended(b"9999 path=a\n"),
        _extended(b"8 path=a\n"),
        _extended(b"0 path=a\n"),
        _extended(b"13 size=1e3\n\n"),
        _extended(b"13 size=1e3a\n"),
    ],
)
def test_something_that_is_no_tar_is_said(data: bytes) -> None:
    """Whatever is wrong, it is a TarError."""
    with pytest.raises(tarfile.TarError):
        list(entries(io.BytesIO(data), len(data)))


def test_of_extended_headers_only_what_is_used_is_kept() -> None:
    """There may be any number of them before an entry."""
    records = (b"510 k%06d=%b\n" % (number, b"v" * 497) for number in range(4000))
    data = b"".join(_extended(record)[:1024] for record in records) + tar_of({"a": b""})
    file = io.BytesIO(data)
    tracemalloc.start()
    try:
        (entry,) = entries(file, len(data))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert entry.name == b"a"
