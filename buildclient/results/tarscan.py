"""Reads the headers of a tar, without keeping them: an export may have millions of entries.

Python's `tarfile` keeps each entry for as long as the archive is open, and reads an extended header of any size.
Reference: POSIX.1-2001 pax, section "ustar Interchange Format"; archive/tar of Go, which BuildKit writes with.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["BLOCK", "Entry", "entries", "padded"]

BLOCK = 512
_MAX_HEADER = 1 << 20
"""Bytes of an extended header; Go reads no longer ones either."""
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_WITHOUT_CONTENT = b"123456"
"""Links, devices, folders and pipes: a size in their headers says nothing about bytes behind them."""


class Entry(NamedTuple):
    """One entry and where it lies in the archive, in bytes."""

    name: bytes
    type: bytes
    size: int
    start: int
    """Where its first header begins, extended ones included."""
    data: int
    end: int
    """Where the next entry begins."""

    @property
    def regular(self) -> bool:
        """Whether it is a file with content of its own."""
        return self.type in (b"0", b"\0")


def padded(size: int) -> int:
    """Returns the size with the padding up to a whole block."""
    return (size + BLOCK - 1) // BLOCK * BLOCK


def entries(file: BinaryIO, length: int) -> Iterator[Entry]:
    """Yields the entries of a tar with this many bytes; seeks in the file. Raises tarfile.TarError."""
    at = start = 0
    records: dict[bytes, bytes] = {}
    while True:
        block = _read(file, at, BLOCK)
        if not block.strip(b"\0"):
            return
        found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        at += BLOCK
        if found.type in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
            extension = _read(file, at, _bounded(found.size))
            at += padded(found.size)
            if found.type == _PAX:
                # No more is used, and a tar may have any number of extended headers in a row.
                records |= {key: value for key, value in _records(extension).items() if key in (b"path", b"size")}
            elif found.type == _LONG_NAME:
                records[b"path"] = extension.split(b"\0", 1)[0]
            continue
        size = _size(records[b"size"]) if b"size" in records else found.size
        content = 0 if found.type in _WITHOUT_CONTENT else size
        if size < 0 or at + content > length:
            raise tarfile.ReadError("unexpected end of data")
        name = records.get(b"path") or found.name.encode("utf-8", "surrogateescape")
        yield Entry(name, found.type, content, start, at, at + padded(content))
        at += padded(content)
        start = at
        records = {}


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    found = file.read(size)
    if len(found) < size:
        raise tarfile.ReadError("unexpected end of data")
    return found


def _bounded(size: int) -> int:
    if not 0 <= size <= _MAX_HEADER:
        raise tarfile.ReadError(f"an extended header of {size} bytes")
    return size


def _size(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise tarfile.ReadError("an extended header with a size that is no number")
    return int(text)


def _records(data: bytes) -> dict[bytes, bytes]:
    """Returns the records of a pax header, `LENGTH KEY=VALUE\\n` each, the length counting the whole record."""
    found = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise tarfile.ReadError("an extended header without a length")
        end = at + int(digits)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space + 1 or end > len(data) or not equals or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("an extended header with a wrong length")
        found[key] = value
        at = end
    return found
