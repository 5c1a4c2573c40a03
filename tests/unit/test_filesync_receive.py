"""What a build exports to this machine: trees and archives, whole or not at all, and never outside of their place."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat as st
import tarfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from buildclient.base.errors import BuildFailed, Cancelled, UsageError
from buildclient.inputs.filesync import LocalDir, filesync
from buildclient.request.values import Output
from buildclient.results.archive import merge_tars
from buildclient.results.exports import Exports
from buildclient.results.filesend import filesend
from buildclient.results.tree import Tree, _set_mode, _Writer
from buildclient.session import diffcopy
from buildclient.session.call import Status
from buildclient.session.diffcopy import decode
from buildclient.session.wire import bytes_message
from tests.unit.filesync_call import MemoryCall, joined

_SEND = "/moby.filesync.v1.FileSend/DiffCopy"
_SYNC = "/moby.filesync.v1.FileSync/DiffCopy"


async def _export(source: Path, dest: Path) -> None:
    """Our sender against our receiver."""
    daemon, client = joined({"dir-name": ("x",)}, {"buildkit-attachable-exporter-id": ("0",)})
    sending = filesync({"x": LocalDir(str(source))})[_SYNC](daemon)
    receiving = filesend({0: Tree(str(dest))})[_SEND](client)
    await asyncio.wait_for(asyncio.gather(sending, receiving), 20)


def _look(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that an export should keep of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        name = os.fsdecode(os.path.relpath(path, folder))
        content: object = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        linked = "" if st.S_ISDIR(info.st_mode) else first.setdefault(info.st_ino, name)
        found[name] = (info.st_mode, info.st_mtime_ns, content, linked)
    return found


async def _feed(dest: Path, *stats: bytes, contents: bool = True) -> MemoryCall:
    """Plays a daemon that sends these STATs, and one byte for each file that is asked for."""
    call = MemoryCall()
    for stat in stats:
        call.incoming.put_nowait(stat)
    call.incoming.put_nowait(diffcopy.END_OF_STATS)
    task = asyncio.ensure_future(filesend({0: Tree(str(dest))})[_SEND](call))
    try:
        while not task.done():
            try:
                packet = decode(await call.said(0.3))
            except TimeoutError:
                break
            if packet.type == diffcopy.REQ:
                call.incoming.put_nowait(diffcopy.data_head(packet.id, 1) + b"x")
                if contents:
                    call.incoming.put_nowait(diffcopy.encode_data_end(packet.id))
            elif packet.type == diffcopy.FIN_TYPE:
                call.incoming.put_nowait(diffcopy.FIN)
    finally:
        call.incoming.put_nowait(None)
        await asyncio.wait_for(task, 5)
    return call


def _file(path: bytes, **more: int) -> bytes:
    return diffcopy.encode_stat(path, more.get("mode", 0o644), 1, more.get("mtime", 1))


def _folder(path: bytes) -> bytes:
    return diffcopy.encode_stat(path, diffcopy.GO_DIR | 0o755, 0, 1)


def _link(path: bytes, target: bytes) -> bytes:
    return diffcopy.encode_stat(path, diffcopy.GO_SYMLINK | 0o777, len(target), 1, target)


async def test_a_tree_arrives_as_it_was(tmp_path: Path) -> None:
    """Names of any bytes, modes, times, links of both kinds, pipes, an empty file, a closed folder."""
    source, dest = tmp_path / "source", tmp_path / "dest"
    (source / "d/e").mkdir(parents=True)
    (source / "d/e/f").write_bytes(os.urandom(700_000))
    (source / "empty").touch()
    os.close(os.open(os.path.join(os.fsencode(source), b"\xff\n"), os.O_CREAT, 0o600))
    os.link(source / "d/e/f", source / "a")
    (source / "l").symlink_to("../../etc")
    os.mkfifo(source / "p", 0o600)
    os.chmod(source / "empty", 0o4711)
    os.chmod(source / "d/e", 0o500)
    for path in (source / "d/e/f", source / "d/e", source / "d"):
        os.utime(path, ns=(0, 1_600_000_000_000_000_001))
    await _export(source, dest)
    assert _look(dest) == _look(source)


_NAMES = some.sampled_from([b"a", b"b", b"a-b", b"a.b", b"\xff", b"\xc3\xa9", b"x y"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.tuples(some.lists(_NAMES, min_size=1, max_size=4), some.binary(max_size=30)), max_size=12))
def test_any_tree_of_files_arrives_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[bytes], bytes]]
) -> None:
    """Sender and receiver agree on every tree."""
    folder = tmp_path_factory.mktemp("tree")
    source, dest = folder / "source", folder / "dest"
    source.mkdir()
    for parts, content in files:
        path = os.path.join(os.fsencode(source), *parts)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    asyncio.run(_export(source, dest))
    assert _look(dest) == _look(source)


async def test_what_was_there_stays_unless_an_entry_takes_its_place(tmp_path: Path) -> None:
    """An export is merged into its folder; a link in a file's place is replaced, not followed."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    dest = tmp_path / "dest"
    (dest / "d").mkdir(parents=True)
    (dest / "keep").write_text("kept")
    (dest / "d/keep").write_text("kept")
    (dest / "f").symlink_to(outside)
    await _feed(dest, _folder(b"d"), _file(b"d/new"), _file(b"f"))
    assert sorted(p.name for p in dest.rglob("*")) == ["d", "f", "keep", "keep", "new"]
    assert (outside.read_text(), (dest / "f").read_text(), (dest / "f").is_symlink()) == ("mine", "x", False)


@pytest.mark.parametrize("path", [b"../x", b"/x", b"a/../../x", b"..", b".", b"a//b", b"", b"a/", b"./x", b"a\0b"])
async def test_a_path_that_is_not_inside_is_refused(tmp_path: Path, path: bytes) -> None:
    """Whatever the daemon sends, nothing is written next to the export."""
    dest = tmp_path / "dest"
    with pytest.raises(Status, match="not inside the export"):
        await _feed(dest, _file(path) if path else diffcopy.encode_stat(b"", 0o644, 1, 1))
    assert os.listdir(tmp_path) == ["dest"]
    assert os.listdir(dest) == []


async def test_no_link_leads_out(tmp_path: Path) -> None:
    """Neither one that the daemon sent before, nor one that was there, nor a hard link's source."""
    (tmp_path / "outside").mkdir()
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "old").symlink_to("../outside")
    hard = diffcopy.encode_stat(b"z", 0o644, 1, 1, b"../outside/x")
    for stats in ((_link(b"l", b"../outside"), _file(b"l/x")), (_file(b"old/x"),), (hard,)):
        with pytest.raises(Status):
            await _feed(dest, *stats)
    assert os.listdir(tmp_path / "outside") == []


async def test_what_takes_the_place_of_something_sent_before_leads_nowhere_either(tmp_path: Path) -> None:
    """A folder that becomes a link under its files, a hard link to a link that leads out, or to an absolute path."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_text("mine")
    dest = tmp_path / "dest"
    away = _link(b"d", b"../outside")
    hard_to_link = diffcopy.encode_stat(b"h", 0o644, 1, 1, b"l")
    hard_to_root = diffcopy.encode_stat(b"h", 0o644, 1, 1, os.fsencode(tmp_path / "secret"))
    for stats in (
        (_folder(b"d"), away, _file(b"d/x")),
        (_folder(b"d"), _file(b"d/x"), away, _file(b"d/y")),
        (_folder(b"d"), _folder(b"d/e"), away, _folder(b"d/e")),
        (hard_to_root,),
    ):
        with pytest.raises(Status):
            await _feed(dest, *stats)
        shutil.rmtree(dest)
    await _feed(dest, _link(b"l", b"../secret"), hard_to_link)
    assert os.readlink(dest / "h") == "../secret"
    assert (tmp_path / "secret").stat().st_nlink == 1
    assert os.listdir(tmp_path / "outside") == []
    assert (tmp_path / "secret").read_text() == "mine"


def test_the_mode_of_a_device_or_pipe_is_not_set_through_a_link(tmp_path: Path) -> None:
    """Another platform's stream may put a link where a pipe was made a moment ago."""
    (tmp_path / "outside").touch(0o600)
    (tmp_path / "p").symlink_to("outside")
    os.mkfifo(tmp_path / "q", 0o600)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in (b"p", b"q"):
            _set_mode(handle, name, st.S_IFIFO, 0o666)
    finally:
        os.close(handle)
    assert st.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o600
    assert st.S_IMODE((tmp_path / "q").stat().st_mode) == 0o666


async def test_a_folder_in_a_files_place_is_not_taken_away(tmp_path: Path) -> None:
    """It is said what is in the way; nothing of it is lost, and no piece of the new file is left."""
    (tmp_path / "f").mkdir()
    (tmp_path / "f/mine").touch()
    with pytest.raises(Status, match="cannot write f: something else is in its place"):
        await _feed(tmp_path, _file(b"f"))
    assert sorted(os.listdir(tmp_path)) == ["f"]
    assert os.listdir(tmp_path / "f") == ["mine"]


async def test_an_export_that_breaks_off_leaves_no_half_files(tmp_path: Path) -> None:
    """The old file is still the old one."""
    (tmp_path / "f").write_text("old")
    with pytest.raises(Status, match="ended before its end"):
        await _feed(tmp_path, _file(b"f"), contents=False)
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


async def test_content_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    """DATA with the id of a folder, or of nothing."""
    call = MemoryCall()
    for message in (_folder(b"d"), diffcopy.encode_data_end(0)):
        call.incoming.put_nowait(message)
    with pytest.raises(Status, match="not asked for"):
        await filesend({0: Tree(str(tmp_path))})[_SEND](call)


async def test_the_daemons_error_is_passed_on(tmp_path: Path) -> None:
    """An ERR in the middle ends the export with its text."""
    call = MemoryCall()
    call.incoming.put_nowait(diffcopy.encode_error("disk full"))
    with pytest.raises(Status, match="disk full"):
        await filesend({0: Tree(str(tmp_path))})[_SEND](call)


async def _archive(exports: Exports, node: int, data: bytes) -> None:
    call = MemoryCall({"buildkit-attachable-exporter-id": ("0",)})
    for at in range(0, len(data), 7000):
        call.incoming.put_nowait(bytes_message(data[at : at + 7000]))
    call.incoming.put_nowait(None)
    await filesend(exports.receivers(node))[_SEND](call)


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


async def test_an_archive_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    """Until then the destination is what it was; afterwards nothing else is beside it."""
    dest = tmp_path / "out.tar"
    dest.write_text("old")
    exports = Exports([Output("tar", {}, str(dest))], 1)
    await _archive(exports, 0, b"new" * 10_000)
    assert dest.read_text() == "old"
    exports.commit()
    assert dest.read_bytes() == b"new" * 10_000
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_an_aborted_build_leaves_the_destination_alone(tmp_path: Path) -> None:
    """Nothing half-written, and a folder without leftovers."""
    dest = tmp_path / "out.tar"
    exports = Exports([Output("oci", {}, str(dest))], 1)
    await _archive(exports, 0, b"half")
    exports.abort()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("nodes", [1, 2])
async def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path, nodes: int) -> None:
    """As `dest=/dev/null`, or a pipe that another program reads: it is not replaced by a file."""
    dest = tmp_path / "pipe"
    os.mkfifo(dest)
    exports = Exports([Output("tar", {}, str(dest))], nodes)
    reading = asyncio.ensure_future(asyncio.to_thread(dest.read_bytes))
    for node in range(nodes):
        await _archive(exports, node, _tar({f"f{node}": b"1" * 100_000}))
    await asyncio.to_thread(exports.commit)
    with tarfile.open(fileobj=io.BytesIO(await asyncio.wait_for(reading, 5))) as archive:
        assert archive.getnames() == [f"f{node}" for node in range(nodes)]
    assert st.S_ISFIFO(dest.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


async def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """As if it had been opened."""
    (tmp_path / "link.tar").symlink_to("out.tar")
    exports = Exports([Output("tar", {}, str(tmp_path / "link.tar"))], 1)
    await _archive(exports, 0, b"new")
    exports.commit()
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "out.tar").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["link.tar", "out.tar"]


async def test_a_pipe_that_nobody_reads_does_not_hold_an_interrupted_export(tmp_path: Path) -> None:
    """The handler ends at once; the thread that waits for a reader is left to itself."""
    dest = tmp_path / "pipe"
    os.mkfifo(dest)
    call = MemoryCall({"buildkit-attachable-exporter-id": ("0",)})
    call.incoming.put_nowait(bytes_message(b"x"))
    exports = Exports([Output("tar", {}, str(dest))], 1)
    task = asyncio.ensure_future(filesend(exports.receivers(0))[_SEND](call))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task], timeout=2)
    try:
        assert task.cancelled()
        exports.abort()
    finally:
        # So that the thread ends, too.
        os.close(os.open(dest, os.O_RDONLY | os.O_NONBLOCK))


async def test_a_pipe_that_nobody_reads_does_not_hold_a_commit_that_is_aborted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several nodes' results: the waited-for thread ends, the merged file is gone, a late reader gets nothing."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    dest = tmp_path / "pipe"
    os.mkfifo(dest)
    exports = Exports([Output("tar", {}, str(dest))], 2)
    for node in range(2):
        await _archive(exports, node, _tar({f"f{node}": b"1"}))
    committing = asyncio.ensure_future(asyncio.to_thread(exports.commit))
    await asyncio.wait([committing], timeout=0.3)
    waited = not committing.done()
    exports.abort()
    await asyncio.wait([committing], timeout=2)
    ended = committing.done()
    reader = os.open(dest, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert waited
        assert ended
        assert os.listdir(tmp_path / "temporary") == []
        with pytest.raises(Cancelled):
            await committing
        await asyncio.sleep(0.2)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("nodes", [1, 2])
async def test_nothing_is_put_in_place_after_an_abort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    """It comes while the commit is at the archive, in the middle of the merge; what was there stays as it was."""
    dest = tmp_path / "out.tar"
    dest.write_text("old")
    exports = Exports([Output("tar", {}, str(dest))], nodes)
    for node in range(nodes):
        await _archive(exports, node, _tar({f"f{node}": b"1"}))
    check, merge = exports._archives[0].check, merge_tars

    def checked() -> None:
        check()
        if nodes == 1:
            exports.abort()

    def merging(parts: Sequence[BinaryIO], out: BinaryIO) -> None:
        merge(parts, out)
        exports.abort()

    monkeypatch.setattr(exports._archives[0], "check", checked)
    monkeypatch.setattr("buildclient.results.archive.merge_tars", merging)
    with pytest.raises(Cancelled):
        exports.commit()
    assert dest.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_what_is_in_its_place_stays_after_an_abort(tmp_path: Path) -> None:
    """What it has replaced cannot be brought back."""
    exports = Exports([Output("tar", {}, str(tmp_path / "out.tar"))], 1)
    await _archive(exports, 0, b"new")
    exports.commit()
    exports.abort()
    assert (tmp_path / "out.tar").read_bytes() == b"new"


async def test_a_disk_that_hangs_does_not_hold_an_interrupted_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is let go of behind the write, which may take for ever."""
    monkeypatch.setattr("buildclient.results.filesend._CLOSING", 0.1)
    hanging, begun = threading.Event(), threading.Event()

    def hang(self: _Writer, stat: diffcopy.Stat) -> bool:
        begun.set()
        return hanging.wait(5)

    monkeypatch.setattr(_Writer, "entry", hang)
    call = MemoryCall()
    call.incoming.put_nowait(_file(b"f"))
    task = asyncio.ensure_future(filesend({0: Tree(str(tmp_path))})[_SEND](call))
    try:
        assert await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.cancelled()
    finally:
        hanging.set()


@pytest.mark.parametrize("type_", ["local", "tar"])
def test_a_result_that_never_came_fails_the_build(tmp_path: Path, type_: str) -> None:
    """A daemon that says it is done but sent nothing."""
    exports = Exports([Output(type_, {}, str(tmp_path / "out"))], 1)
    exports.receivers(0)
    with pytest.raises(BuildFailed, match=f"the daemon sent no result for output {type_}"):
        exports.commit()
    exports.abort()
    assert os.listdir(tmp_path) == []


async def test_of_two_outputs_none_is_put_in_place_if_one_is_missing(tmp_path: Path) -> None:
    """The first stays what it was, though it came whole."""
    (tmp_path / "a.tar").write_text("old")
    exports = Exports([Output("tar", {}, str(tmp_path / name)) for name in ("a.tar", "b.tar")], 1)
    await _archive(exports, 0, b"new")
    with pytest.raises(BuildFailed):
        exports.commit()
    exports.abort()
    assert (tmp_path / "a.tar").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.tar"]


async def test_tars_of_several_nodes_become_one(tmp_path: Path) -> None:
    """All entries of the first node, then all of the second, and one end."""
    dest = tmp_path / "out.tar"
    exports = Exports([Output("tar", {}, str(dest))], 2)
    await _archive(exports, 1, _tar({"linux_arm64/f": b"2"}))
    await _archive(exports, 0, _tar({"linux_amd64/f": b"1" * 1000, "linux_amd64/g": b""}))
    exports.commit()
    with tarfile.open(dest) as archive:
        assert archive.getnames() == ["linux_amd64/f", "linux_amd64/g", "linux_arm64/f"]
        last = archive.extractfile("linux_arm64/f")
        assert last is not None
        assert last.read() == b"2"
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_something_that_is_no_tar_from_a_node_fails_the_build(tmp_path: Path) -> None:
    """One line, and no destination."""
    dest = tmp_path / "out.tar"
    for type_ in ("tar", "oci"):
        exports = Exports([Output(type_, {}, str(dest))], 2)
        await _archive(exports, 0, _tar({"a": b"1"}))
        await _archive(exports, 1, b"no tar at all" * 100)
        with pytest.raises(BuildFailed, match="a node sent an archive"):
            exports.commit()
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("index", [b"[]", b"{}", b'{"manifests": []}', b'{"manifests": [{}]}', b'{"manifests": 1}'])
async def test_a_layout_that_lies_fails_the_build(tmp_path: Path, index: bytes) -> None:
    """One line; a hostile daemon is no fault of ours."""
    exports = Exports([Output("oci", {}, str(tmp_path / "out.tar"))], 2)
    for node in range(2):
        await _archive(exports, node, _tar({"index.json": index}))
    with pytest.raises(BuildFailed, match="no OCI layout"):
        exports.commit()
    assert os.listdir(tmp_path) == []


def test_a_destination_of_the_wrong_kind_is_refused_first(tmp_path: Path) -> None:
    """In docker buildx's words."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a directory"):
        Exports([Output("tar", {}, str(tmp_path))], 1)
    with pytest.raises(UsageError, match="is a file"):
        Exports([Output("local", {}, str(tmp_path / "file"))], 1)


async def test_an_exporter_that_was_not_asked_for_is_refused() -> None:
    """The daemon's number must be one of ours."""
    for number in ("1", "x", "-1"):
        with pytest.raises(Status, match=f"exporter {number} not found"):
            await filesend({})[_SEND](MemoryCall({"buildkit-attachable-exporter-id": (number,)}))
