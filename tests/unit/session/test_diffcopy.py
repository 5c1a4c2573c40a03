"""fsutil's packets, coded by hand, against messages made from the same declaration by protobuf itself."""

from __future__ import annotations

import os
import stat as st
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as some

from buildclient.session import diffcopy
from buildclient.session.diffcopy import DiffCopyError, Packet, Stat, decode, go_mode, unix_mode

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {"b": _FIELD.TYPE_BYTES, "u": _FIELD.TYPE_UINT32, "i": _FIELD.TYPE_INT64, "s": _FIELD.TYPE_STRING}


def _packet_class() -> Any:
    """fsutil.types.Packet (types/{wire,stat}.proto), its two paths declared as bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    stat = file.message_type.add(name="Stat")
    fields = "path:b:1 mode:u:2 uid:u:3 gid:u:4 size:i:5 mtime:i:6 linkname:b:7 devmajor:i:8 devminor:i:9"
    for field in fields.split():
        name, kind, number = field.split(":")
        stat.field.add(name=name, type=_KINDS[kind], number=int(number), label=_FIELD.LABEL_OPTIONAL)
    entry = stat.nested_type.add(name="XattrsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", type=_KINDS["s"], number=1, label=_FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", type=_KINDS["b"], number=2, label=_FIELD.LABEL_OPTIONAL)
    stat.field.add(
        name="xattrs", type=_FIELD.TYPE_MESSAGE, type_name=".t.Stat.XattrsEntry", number=10, label=_FIELD.LABEL_REPEATED
    )
    packet = file.message_type.add(name="Packet")
    # An enum on the wire is a number.
    packet.field.add(name="type", type=_KINDS["u"], number=1, label=_FIELD.LABEL_OPTIONAL)
    packet.field.add(name="stat", type=_FIELD.TYPE_MESSAGE, type_name=".t.Stat", number=2, label=_FIELD.LABEL_OPTIONAL)
    packet.field.add(name="ID", type=_KINDS["u"], number=3, label=_FIELD.LABEL_OPTIONAL)
    packet.field.add(name="data", type=_KINDS["b"], number=4, label=_FIELD.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Packet"))


_Packet = _packet_class()
_NAME = some.binary(min_size=1, max_size=40)
_U32 = some.integers(0, (1 << 32) - 1)
_I64 = some.integers(-(1 << 63), (1 << 63) - 1)
_XATTRS = some.dictionaries(
    some.text("abc.é", min_size=1, max_size=9).map(str.encode), some.binary(max_size=9), max_size=3
)


@given(_NAME, _U32, some.integers(0, 1 << 62), _I64, some.binary(max_size=9), some.tuples(_U32, _U32), _XATTRS)
def test_a_stat_is_what_protobuf_writes(
    path: bytes, mode: int, size: int, mtime: int, link: bytes, device: tuple[int, int], xattrs: dict[bytes, bytes]
) -> None:
    """Encoded by hand, byte for byte protobuf's; protobuf's, read by hand, gives the same values."""
    raw = diffcopy.encode_stat(path, mode, size, mtime, link, device, xattrs)
    message = _Packet()
    message.stat.path, message.stat.mode, message.stat.size, message.stat.mtime = path, mode, size, mtime
    message.stat.linkname, message.stat.devmajor, message.stat.devminor = link, *device
    for key, value in xattrs.items():
        message.stat.xattrs[key.decode()] = value
    assert _Packet.FromString(raw) == message
    # The order of a map is free on the wire.
    assert len(xattrs) > 1 or raw == message.SerializeToString()
    assert decode(raw) == Packet(diffcopy.STAT, Stat(path, mode, 0, 0, size, mtime, link, *device, xattrs))


@given(_U32, some.binary(min_size=1, max_size=300))
def test_packets_of_content_are_what_protobuf_writes(file: int, data: bytes) -> None:
    """REQ, DATA, the end of a file and ERR, both directions."""
    table = [
        (diffcopy.encode_request(file), Packet(diffcopy.REQ, id=file)),
        (diffcopy.data_head(file, len(data)) + data, Packet(diffcopy.DATA, id=file, data=data)),
        (diffcopy.encode_data_end(file), Packet(diffcopy.DATA, id=file)),
        (diffcopy.encode_error("é"), Packet(diffcopy.ERR, data="é".encode())),
        (diffcopy.FIN, Packet(diffcopy.FIN_TYPE)),
        (diffcopy.END_OF_STATS, Packet(diffcopy.STAT)),
    ]
    for raw, packet in table:
        message = _Packet(type=packet.type, ID=packet.id, data=packet.data)
        assert raw == message.SerializeToString()
        assert decode(raw) == packet


def test_the_owner_of_an_entry_is_read() -> None:
    """User and group, which we never send, are read from the daemon."""
    message = _Packet()
    message.stat.path, message.stat.uid, message.stat.gid = b"a", 1000, 7
    stat = decode(message.SerializeToString()).stat
    assert stat is not None
    assert (stat.uid, stat.gid) == (1000, 7)


@given(some.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, it is a packet or a DiffCopyError."""
    try:
        decode(raw)
    except DiffCopyError:
        return


def test_every_cut_of_a_packet_is_refused_or_shorter() -> None:
    """A packet that ends early is never taken for the whole one."""
    raw = diffcopy.encode_stat(b"path", 0o644, 12345, 678, b"link", (1, 2), {b"k": b"v"})
    for end in range(1, len(raw)):
        with pytest.raises(DiffCopyError):
            decode(raw[:end])


@pytest.mark.parametrize(
    ("unix", "go"),
    [
        (st.S_IFREG | 0o644, 0o644),
        (st.S_IFREG | 0o4755, 1 << 23 | 0o755),
        (st.S_IFREG | 0o2755, 1 << 22 | 0o755),
        (st.S_IFREG | 0o1777, 1 << 20 | 0o777),
        (st.S_IFDIR | 0o755, 1 << 31 | 0o755),
        (st.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (st.S_IFBLK | 0o600, 1 << 26 | 0o600),
        (st.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
        (st.S_IFIFO | 0o644, 1 << 25 | 0o644),
        (st.S_IFSOCK | 0o755, 0o755),
    ],
)
def test_modes_are_gos(unix: int, go: int) -> None:
    """Each kind and each special bit as os.FileMode, and the permissions back."""
    assert go_mode(unix) == go
    assert unix_mode(go) == unix & 0o7777


def test_the_null_device_is_a_character_device() -> None:
    """A mode as the kernel gives it."""
    assert go_mode(os.stat("/dev/null").st_mode) & (1 << 26 | 1 << 21) == 1 << 26 | 1 << 21
