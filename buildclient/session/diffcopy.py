"""Encodes and decodes fsutil's packets by hand, for speed: a context has tens of thousands of STATs.

Reference: types/{stat,wire}.proto of github.com/tonistiigi/fsutil; `path` and `linkname` are bytes here, since
Go does not check them for UTF-8. proto3 omits zero values, so an empty STAT packet marks the end.
"""

from __future__ import annotations

import stat as st
from collections.abc import Mapping
from typing import NamedTuple

from buildclient.session.varint import VarintError, decode_varint, encode_varint

__all__ = [
    "END_OF_STATS",
    "FIN",
    "DiffCopyError",
    "Packet",
    "Stat",
    "data_head",
    "decode",
    "encode_data_end",
    "encode_error",
    "encode_request",
    "encode_stat",
    "go_mode",
    "unix_mode",
]

STAT, REQ, DATA, FIN_TYPE, ERR = range(5)
END_OF_STATS = b""
FIN = b"\x08\x03"

GO_DIR, GO_SYMLINK, GO_DEVICE, GO_FIFO = 1 << 31, 1 << 27, 1 << 26, 1 << 25
GO_SETUID, GO_SETGID, GO_CHAR, GO_STICKY = 1 << 23, 1 << 22, 1 << 21, 1 << 20
GO_TYPE = GO_DIR | GO_SYMLINK | GO_DEVICE | GO_FIFO | GO_CHAR | 1 << 24 | 1 << 19

# A socket has no type bit: fsutil clears it, since no archive can hold one.
_TYPES = {
    st.S_IFDIR: GO_DIR,
    st.S_IFLNK: GO_SYMLINK,
    st.S_IFBLK: GO_DEVICE,
    st.S_IFCHR: GO_DEVICE | GO_CHAR,
    st.S_IFIFO: GO_FIFO,
}
_SPECIAL = ((st.S_ISUID, GO_SETUID), (st.S_ISGID, GO_SETGID), (st.S_ISVTX, GO_STICKY))


class DiffCopyError(Exception):
    """An invalid packet."""


class Stat(NamedTuple):
    """One entry of a tree, such as a file or a folder."""

    path: bytes
    mode: int
    """Go's os.FileMode, not the kernel's."""
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    """Nanoseconds since the epoch."""
    linkname: bytes = b""
    devmajor: int = 0
    devminor: int = 0
    xattrs: Mapping[bytes, bytes] = {}


class Packet(NamedTuple):
    """One message of the protocol, in either direction."""

    type: int
    stat: Stat | None = None
    id: int = 0
    data: bytes = b""


def go_mode(mode: int) -> int:
    """Converts st_mode to Go's os.FileMode."""
    value = mode & 0o777 | _TYPES.get(st.S_IFMT(mode), 0)
    if mode & 0o7000:
        for unix, go in _SPECIAL:
            if mode & unix:
                value |= go
    return value


def unix_mode(mode: int) -> int:
    """Converts the permission bits of an os.FileMode to those of chmod."""
    value = mode & 0o777
    for unix, go in _SPECIAL:
        if mode & go:
            value |= unix
    return value


def encode_stat(
    path: bytes,
    mode: int,
    size: int,
    mtime: int,
    linkname: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Encodes a STAT packet of user and group 0 (os.FileMode, bytes, nanoseconds, (major, minor))."""
    parts = [b"\x0a", encode_varint(len(path)), path]
    if mode:
        parts += (b"\x10", encode_varint(mode))
    if size:
        parts += (b"\x28", encode_varint(size))
    if mtime:
        parts += (b"\x30", encode_varint(mtime))
    if linkname:
        parts += (b"\x3a", encode_varint(len(linkname)), linkname)
    if device[0]:
        parts += (b"\x40", encode_varint(device[0]))
    if device[1]:
        parts += (b"\x48", encode_varint(device[1]))
    for name, value in sorted((xattrs or {}).items()):
        entry = b"".join((b"\x0a", encode_varint(len(name)), name, b"\x12", encode_varint(len(value)), value))
        parts += (b"\x52", encode_varint(len(entry)), entry)
    body = b"".join(parts)
    return b"".join((b"\x12", encode_varint(len(body)), body))


def data_head(file: int, length: int) -> bytes:
    """Encodes the head of a DATA packet with `length` bytes of a file."""
    head = b"\x08\x02" + (b"\x18" + encode_varint(file) if file else b"")
    return head + b"\x22" + encode_varint(length)


def encode_data_end(file: int) -> bytes:
    """Encodes the empty DATA packet that ends a file."""
    return b"\x08\x02" + (b"\x18" + encode_varint(file) if file else b"")


def encode_request(file: int) -> bytes:
    """Encodes a REQ packet, which asks for a file's content."""
    return b"\x08\x01" + (b"\x18" + encode_varint(file) if file else b"")


def encode_error(text: str) -> bytes:
    """Encodes an ERR packet with its text."""
    data = text.encode("utf-8", "surrogateescape")
    return b"\x08\x04\x22" + encode_varint(len(data)) + data


def decode(message: bytes) -> Packet:
    """Decodes any packet. Raises DiffCopyError."""
    try:
        return _packet(message)
    except VarintError as error:
        raise DiffCopyError(f"a packet {error}") from None


def _packet(message: bytes) -> Packet:
    kind = file = 0
    stat: Stat | None = None
    data = b""
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 2 and isinstance(value, bytes):
            stat = _stat(value)
        elif field == 3 and isinstance(value, int):
            file = value
        elif field == 4 and isinstance(value, bytes):
            data = value
    return Packet(kind, stat, file, data)


def _stat(message: bytes) -> Stat:
    numbers = {2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 8: 0, 9: 0}
    texts = {1: b"", 7: b""}
    xattrs: dict[bytes, bytes] = {}
    for field, value in _fields(message):
        if isinstance(value, int):
            if field in numbers:
                numbers[field] = value
        elif field in texts:
            texts[field] = value
        elif field == 10:
            entry = {number: part for number, part in _fields(value) if isinstance(part, bytes)}
            xattrs[entry.get(1, b"")] = entry.get(2, b"")
    return Stat(
        path=texts[1],
        mode=numbers[2],
        uid=numbers[3],
        gid=numbers[4],
        size=_signed(numbers[5]),
        mtime=_signed(numbers[6]),
        linkname=texts[7],
        devmajor=_signed(numbers[8]),
        devminor=_signed(numbers[9]),
        xattrs=xattrs,
    )


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at, end = 0, len(message)
    while at < end:
        tag, at = decode_varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = decode_varint(message, at)
            found.append((tag >> 3, value))
        elif wire == 2:
            length, at = decode_varint(message, at)
            if at + length > end:
                raise DiffCopyError("a packet ends inside a field")
            found.append((tag >> 3, message[at : at + length]))
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise DiffCopyError(f"a packet has a field of unknown wire type {wire}")
    if at != end:
        raise DiffCopyError("a packet ends inside a field")
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
