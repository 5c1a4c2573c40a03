"""Contexts as the daemon gets them: what is listed, in which order, with which contents."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat as st
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from buildclient.base.folders import Folders
from buildclient.inputs.filesync import LocalDir, filesync
from buildclient.inputs.ignore import Filter
from buildclient.inputs.walk import Walk, WalkError
from buildclient.session import diffcopy
from buildclient.session.call import Code, Status
from buildclient.session.diffcopy import Stat, decode
from tests.load import busy
from tests.unit.filesync_call import MemoryCall

_METHOD = "/moby.filesync.v1.FileSync/DiffCopy"


class Copied(NamedTuple):
    """What a daemon that asks for everything has in the end."""

    stats: list[Stat]
    contents: dict[bytes, bytes]

    @property
    def paths(self) -> list[bytes]:
        return [stat.path for stat in self.stats]


async def _copy(folder: Path, *, early: bool = False, **metadata: tuple[str, ...]) -> Copied:
    """Plays the daemon; asks for contents as soon as STATs come (`early`), else after the last."""
    headers = {key.replace("_", "-"): value for key, value in metadata.items()}
    call = MemoryCall({"dir-name": ("context",), **headers})
    task = asyncio.ensure_future(filesync({"context": LocalDir(str(folder))})[_METHOD](call))
    stats: list[Stat] = []
    wanted: list[int] = []
    contents: dict[int, bytes] = {}
    ended: set[int] = set()
    listed = False
    while not (listed and len(ended) == len(wanted)):
        packet = decode(await call.said())
        if packet.type == diffcopy.STAT and packet.stat:
            number = len(stats)
            stats.append(packet.stat)
            if not packet.stat.mode & diffcopy.GO_TYPE and not packet.stat.linkname:
                wanted.append(number)
                if early:
                    call.incoming.put_nowait(diffcopy.encode_request(number))
        elif packet.type == diffcopy.STAT:
            listed = True
            if not early:
                # In any order.
                for number in reversed(wanted):
                    call.incoming.put_nowait(diffcopy.encode_request(number))
        elif packet.type == diffcopy.DATA and packet.data:
            assert packet.id not in ended
            assert len(packet.data) <= 1 << 20
            contents[packet.id] = contents.get(packet.id, b"") + packet.data
        elif packet.type == diffcopy.DATA:
            ended.add(packet.id)
        else:
            raise AssertionError(packet)
    call.incoming.put_nowait(diffcopy.FIN)
    assert await call.said() == diffcopy.FIN
    await asyncio.wait_for(task, 5)
    assert call.outgoing.empty()
    return Copied(stats, {stats[number].path: contents.get(number, b"") for number in wanted})


def _listed(folder: Path, excludes: tuple[str, ...] = (), way: type[Folders] = Folders) -> list[Stat]:
    with closing(way.of(folder)) as folders:
        walk = Walk(folders, Filter([], excludes))
        packets = [packet for batch in walk.batches() for packet in batch.packets]
    return [stat for stat in (decode(packet).stat for packet in packets) if stat]


def _touch(folder: Path, name: bytes, data: bytes = b"") -> None:
    path = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


@pytest.mark.parametrize("early", [False, True])
async def test_every_content_arrives_whole(tmp_path: Path, early: bool) -> None:
    """Empty, small, many, and larger than a packet, asked for during the walk or after it, in any order."""
    wanted = {b"empty": b"", b"one": b"1", b"edge": b"e" * (256 << 10), b"large": os.urandom((3 << 20) + 1)}
    wanted.update({b"d%d/f%d" % (n % 7, n): b"%d" % n for n in range(1500)})
    for name, data in wanted.items():
        _touch(tmp_path, name, data)
    copied = await _copy(tmp_path, early=early)
    assert copied.contents == wanted


async def test_siblings_come_by_raw_bytes_and_folders_before_what_is_in_them(tmp_path: Path) -> None:
    """`a`, then all of `a/`, then `a-b`: not the order of whole paths."""
    for name in (b"a/x", b"a-b", b"a.b/y", b"A", b"\xff", b"\xc3\xa9", b"a b"):
        _touch(tmp_path, name)
    copied = await _copy(tmp_path)
    assert copied.paths == [b"A", b"a", b"a/x", b"a b", b"a-b", b"a.b", b"a.b/y", b"\xc3\xa9", b"\xff"]


async def test_a_folder_comes_only_with_something_in_it(tmp_path: Path) -> None:
    """Folders that do not match are sent when, and only when, an entry below them is."""
    for name in (b"a/b/c.go", b"a/b/d.txt", b"e/f/g.txt"):
        _touch(tmp_path, name)
    assert (await _copy(tmp_path, include_patterns=("**/*.go",))).paths == [b"a", b"a/b", b"a/b/c.go"]


async def test_patterns_with_other_letters_come_encoded(tmp_path: Path) -> None:
    """`<key>-encoded: 1` marks values that are query-escaped; otherwise a `+` is a `+`."""
    for name in ("é x", "a+b", "c"):
        _touch(tmp_path, name.encode())
    encoded = await _copy(tmp_path, exclude_patterns=("%C3%A9+x",), exclude_patterns_encoded=("1",))
    assert encoded.paths == [b"a+b", b"c"]
    assert (await _copy(tmp_path, exclude_patterns=("a+b",))).paths == [b"c", "é x".encode()]


async def test_followed_links_come_with_what_they_lead_to(tmp_path: Path) -> None:
    """A copied link brings its target."""
    _touch(tmp_path, b"real/f")
    _touch(tmp_path, b"other")
    (tmp_path / "link").symlink_to("real")
    assert (await _copy(tmp_path, followpaths=("link/f",))).paths == [b"link", b"real", b"real/f"]


async def test_a_folder_that_was_not_offered_is_not_found(tmp_path: Path) -> None:
    """The daemon reads what it was offered, by name, and nothing else."""
    call = MemoryCall({"dir-name": ("../etc",)})
    with pytest.raises(Status) as caught:
        await filesync({"context": LocalDir(str(tmp_path))})[_METHOD](call)
    assert caught.value.code == Code.NOT_FOUND


async def test_a_content_is_given_once_and_only_of_files(tmp_path: Path) -> None:
    """An id that is a folder's, or was never listed, ends the call."""
    _touch(tmp_path, b"d/f")
    for number in (0, 9):
        call = MemoryCall({"dir-name": ("context",)})
        call.incoming.put_nowait(diffcopy.encode_request(number))
        with pytest.raises(Status, match=f"invalid file id {number}"):
            await asyncio.wait_for(filesync({"context": LocalDir(str(tmp_path))})[_METHOD](call), 5)


async def test_a_file_that_cannot_be_read_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said which and why, instead of building with an empty file."""
    _touch(tmp_path, b"secret", b"x")
    real = os.open

    def refuse(path: bytes, *rest: int, **more: int) -> int:
        if os.fsencode(path).endswith(b"secret"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    call = MemoryCall({"dir-name": ("context",)})
    task = asyncio.ensure_future(filesync({"context": LocalDir(str(tmp_path))})[_METHOD](call))
    while await call.said():
        pass
    call.incoming.put_nowait(diffcopy.encode_request(0))
    expected = f"open {tmp_path}/secret: permission denied"
    with pytest.raises(Status, match=expected):
        await asyncio.wait_for(task, 5)
    said = [decode(call.outgoing.get_nowait()) for _ in range(call.outgoing.qsize())]
    assert [packet.data.decode() for packet in said if packet.type == diffcopy.ERR] == [expected]


async def test_a_file_that_vanished_after_it_was_listed_comes_empty(tmp_path: Path) -> None:
    """As from docker buildx."""
    _touch(tmp_path, b"f", b"x")
    call = MemoryCall({"dir-name": ("context",)})
    task = asyncio.ensure_future(filesync({"context": LocalDir(str(tmp_path))})[_METHOD](call))
    while await call.said():
        pass
    (tmp_path / "f").unlink()
    call.incoming.put_nowait(diffcopy.encode_request(0))
    call.incoming.put_nowait(diffcopy.FIN)
    assert decode(await call.said()) == diffcopy.Packet(diffcopy.DATA)
    assert await call.said() == diffcopy.FIN
    await task


async def test_a_daemon_that_goes_away_ends_the_call(tmp_path: Path) -> None:
    """A stream that ends without its FIN is an error."""
    call = MemoryCall({"dir-name": ("context",)})
    call.incoming.put_nowait(None)
    with pytest.raises(Status) as caught:
        await asyncio.wait_for(filesync({"context": LocalDir(str(tmp_path))})[_METHOD](call), 5)
    assert caught.value.code == Code.CANCELLED


def test_a_hard_link_names_the_first_path_that_was_sent(tmp_path: Path) -> None:
    """Also when the first path of the inode is ignored; the size stays."""
    _touch(tmp_path, b"a/1", b"abc")
    for name in ("a/2", "b", "c"):
        os.link(tmp_path / "a/1", tmp_path / name)
    stats = _listed(tmp_path, ("a",))
    assert [(s.path, s.linkname, s.size) for s in stats] == [(b"b", b"", 3), (b"c", b"b", 3)]


def test_special_files_keep_their_kind(tmp_path: Path) -> None:
    """Pipes, links and sockets; a socket is a regular file there, since no archive can hold one."""
    os.mkfifo(tmp_path / "pipe", 0o640)
    os.chmod(tmp_path / "pipe", 0o640)
    (tmp_path / "link").symlink_to("/no where")
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        found = {stat.path: stat for stat in _listed(tmp_path)}
    assert found[b"pipe"].mode == diffcopy.GO_FIFO | 0o640
    assert (found[b"link"].mode, found[b"link"].linkname) == (diffcopy.GO_SYMLINK | 0o777, b"/no where")
    assert found[b"socket"].mode & diffcopy.GO_TYPE == 0


def test_what_the_daemon_compares_is_exact(tmp_path: Path) -> None:
    """Size, nanoseconds, special bits; folders have no size, nobody an owner."""
    _touch(tmp_path, b"d/f", b"12345")
    os.chmod(tmp_path / "d/f", 0o4755)
    os.utime(tmp_path / "d/f", ns=(0, -1_500_000_001))
    os.utime(tmp_path / "d", ns=(0, 1_700_000_000_123_456_789))
    folder, file = _listed(tmp_path)
    assert (folder.size, folder.mtime, folder.mode) == (0, 1_700_000_000_123_456_789, diffcopy.GO_DIR | 0o755)
    assert (file.size, file.mtime, file.mode) == (5, -1_500_000_001, diffcopy.GO_SETUID | 0o755)
    assert {(stat.uid, stat.gid) for stat in (folder, file)} == {(0, 0)}


def test_extended_attributes_are_sent(tmp_path: Path) -> None:
    """All that can be read, where the file system has them."""
    _touch(tmp_path, b"f")
    try:
        os.setxattr(tmp_path / "f", "user.a", b"\0\xff")
    except OSError as error:
        pytest.skip(f"the file system of {tmp_path} has no user attributes: {error}")
    assert dict(_listed(tmp_path)[0].xattrs) == {b"user.a": b"\0\xff"}


def test_a_tree_deeper_than_pythons_calls_is_walked(tmp_path: Path) -> None:
    """1,200 folders in each other."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        assert _listed(tmp_path)[-1].path == b"/".join([b"d"] * 1200)
    finally:
        # Too deep for shutil.rmtree, and so for pytest.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_what_vanishes_during_the_walk_is_left_out(tmp_path: Path) -> None:
    """A file and a folder that are gone between listing and looking."""
    for name in (b"a", b"b/x", b"c"):
        _touch(tmp_path, name)

    class Vanishing(Folders):
        looks = 0

        def at(self, path: bytes) -> int:
            self.looks += 1
            if self.looks == 2:
                (tmp_path / "a").unlink()
                shutil.rmtree(tmp_path / "b")
            return super().at(path)

    assert [stat.path for stat in _listed(tmp_path, way=Vanishing)] == [b"c"]


def test_a_closed_folder_is_an_error_only_if_it_is_wanted(tmp_path: Path) -> None:
    """An ignored folder that we may not read is passed over, even where an exception might lie below it."""
    _touch(tmp_path, b"closed/x")
    _touch(tmp_path, b"open")

    class Closed(Folders):
        def at(self, path: bytes) -> int:
            if path == b"closed":
                raise PermissionError(13, "Permission denied")
            return super().at(path)

    with pytest.raises(WalkError, match=r"open .*/closed: permission denied"):
        _listed(tmp_path, way=Closed)
    assert [stat.path for stat in _listed(tmp_path, ("closed", "!closed/y"), Closed)] == [b"open"]


def test_devices_keep_their_numbers(tmp_path: Path) -> None:
    """Character and block devices, where we may make them."""
    try:
        os.mknod(tmp_path / "null", 0o600 | st.S_IFCHR, os.makedev(1, 3))
        os.mknod(tmp_path / "block", 0o600 | st.S_IFBLK, os.makedev(259, 70_000))
    except PermissionError:
        pytest.skip("not allowed to make devices here")
    block, null = _listed(tmp_path)
    assert (null.mode, null.devmajor, null.devminor) == (diffcopy.GO_DEVICE | diffcopy.GO_CHAR | 0o600, 1, 3)
    assert (block.mode, block.devmajor, block.devminor) == (diffcopy.GO_DEVICE | 0o600, 259, 70_000)


async def test_many_files_asked_for_one_by_one_are_answered_together(tmp_path: Path) -> None:
    """Each answer of its own would wake every part on the way; a few files are answered at once."""
    for number in range(200):
        (tmp_path / f"f{number}").write_text(str(number))
    call, answers = _Batches({"dir-name": ("context",)}), []
    (handler,) = filesync({"context": LocalDir(str(tmp_path))}).values()
    task = asyncio.ensure_future(handler(call))
    while (packet := diffcopy.decode(await call.said())).stat:
        answers.append(packet.stat.path)
    for number in range(200):
        call.incoming.put_nowait(diffcopy.encode_request(number))
        await asyncio.sleep(0.001)
    call.incoming.put_nowait(diffcopy.FIN)
    await asyncio.wait_for(task, busy(10))
    assert len(answers) == 200
    assert sum(call.batches) == 400
    assert len(call.batches) < 120
    assert call.batches[0] == 2


class _Batches(MemoryCall):
    """Notes how many contents, and ends of them, come together."""

    def __init__(self, metadata: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(metadata)
        self.batches: list[int] = []

    async def write_batch(self, messages: Iterable[bytes]) -> None:
        listed = list(messages)
        if diffcopy.decode(listed[0]).type == diffcopy.DATA:
            self.batches.append(len(listed))
        await super().write_batch(listed)
