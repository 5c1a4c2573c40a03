"""What a build exports is put in its place whole or not at all, also when it is interrupted."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import signal
import stat as st
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from buildclient.base.errors import BuildFailed, Cancelled, UsageError
from buildclient.request.destinations import ToFile, ToFolder
from buildclient.request.values import Output
from buildclient.results.exports import Exports
from buildclient.results.filesend import filesend
from buildclient.results.spool import Spool
from buildclient.session import diffcopy
from buildclient.session.call import Status
from buildclient.session.wire import bytes_message
from tests.load import busy
from tests.unit.filesync_call import MemoryCall
from tests.unit.node_archives import put, send_archive, tar_of

_SEND = "/moby.filesync.v1.FileSend/DiffCopy"


def _file(path: bytes, **more: int) -> bytes:
    return diffcopy.encode_stat(path, more.get("mode", 0o644), 1, more.get("mtime", 1))


async def test_an_archive_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    """Until then the destination is what it was; afterwards nothing else is beside it."""
    dest = tmp_path / "out.tar"
    dest.write_text("old")
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 1)
    await send_archive(exports, 0, b"new" * 10_000)
    assert dest.read_text() == "old"
    await put(exports)
    assert dest.read_bytes() == b"new" * 10_000
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_an_aborted_build_leaves_the_destination_alone(tmp_path: Path) -> None:
    """Nothing half-written, and a folder without leftovers."""
    dest = tmp_path / "out.tar"
    exports = Exports([Output("oci", {}, ToFile(str(dest)))], 1)
    await send_archive(exports, 0, b"half")
    exports.abort()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("nodes", [1, 2])
async def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path, nodes: int) -> None:
    """As `dest=/dev/null`, or a pipe that another program reads: it is not replaced by a file."""
    dest = tmp_path / "pipe"
    os.mkfifo(dest)
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], nodes)
    reading = asyncio.ensure_future(asyncio.to_thread(dest.read_bytes))
    for node in range(nodes):
        await send_archive(exports, node, tar_of({f"f{node}": b"1" * 100_000}))
    await put(exports)
    with tarfile.open(fileobj=io.BytesIO(await asyncio.wait_for(reading, 5))) as archive:
        assert archive.getnames() == [f"f{node}" for node in range(nodes)]
    assert st.S_ISFIFO(dest.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


async def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """As if it had been opened."""
    (tmp_path / "link.tar").symlink_to("out.tar")
    exports = Exports([Output("tar", {}, ToFile(str(tmp_path / "link.tar")))], 1)
    await send_archive(exports, 0, b"new")
    await put(exports)
    assert (tmp_path / "link.tar").is_symlink()
    assert (tmp_path / "out.tar").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["link.tar", "out.tar"]


async def test_a_pipe_that_nobody_reads_does_not_hold_an_interrupted_export(tmp_path: Path) -> None:
    """The handler ends at once; the thread that waits for a reader is left to itself."""
    dest = tmp_path / "pipe"
    os.mkfifo(dest)
    call = MemoryCall({"buildkit-attachable-exporter-id": ("0",)})
    call.incoming.put_nowait(bytes_message(b"x"))
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 1)
    task = asyncio.ensure_future(exports.services(0)[0][_SEND](call))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task], timeout=busy(2))
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
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 2)
    for node in range(2):
        await send_archive(exports, node, tar_of({f"f{node}": b"1"}))
    committing = asyncio.ensure_future(exports.stage([]))
    await asyncio.wait([committing], timeout=0.3)
    waited = not committing.done()
    exports.abort()
    await asyncio.wait([committing], timeout=busy(2))
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


async def test_nothing_is_put_in_place_after_an_abort(tmp_path: Path) -> None:
    """What was there stays as it was, though all of the new archive had come."""
    dest = tmp_path / "out.tar"
    dest.write_text("old")
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 1)
    await send_archive(exports, 0, b"new")
    await exports.stage([])
    exports.abort()
    with pytest.raises(Cancelled):
        await exports.commit()
    assert dest.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.tar"]


async def test_cancelled_while_it_merges_it_waits_for_the_thread(tmp_path: Path) -> None:
    """What is half put in place is taken away before the command leaves, not by a thread after it."""
    begun, ended = threading.Event(), threading.Event()

    class Slow:
        """An export whose thread ends a moment after it was aborted."""

        aborted = threading.Event()

        def receiver(self, node: int) -> Spool:
            return Spool(str(tmp_path))

        def stage(self) -> None:
            begun.set()
            assert self.aborted.wait(60)
            time.sleep(0.1)
            ended.set()

        def commit(self) -> None:
            raise AssertionError("it was cancelled before")

        def abort(self) -> None:
            self.aborted.set()

    exports = Exports([Output("tar", {}, ToFile(str(tmp_path / "out.tar")))], 1, lambda output, nodes: Slow())
    task = asyncio.ensure_future(put(exports))
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, busy(3))
    assert ended.is_set()


async def test_what_is_in_its_place_stays_after_an_abort(tmp_path: Path) -> None:
    """What it has replaced cannot be brought back."""
    exports = Exports([Output("tar", {}, ToFile(str(tmp_path / "out.tar")))], 1)
    await send_archive(exports, 0, b"new")
    await put(exports)
    exports.abort()
    assert (tmp_path / "out.tar").read_bytes() == b"new"


async def test_a_disk_that_hangs_does_not_hold_an_interrupted_tree(tmp_path: Path) -> None:
    """The writer is let go of behind the write, which may take for ever."""
    hanging, begun = threading.Event(), threading.Event()

    class Hanging:
        """A tree on such a disk."""

        whole = False

        def open(self) -> Hanging:
            return self

        def entry(self, stat: diffcopy.Stat) -> bool:
            begun.set()
            return hanging.wait(60)

        def data(self, file: int, data: bytes) -> None:
            raise AssertionError("no entry was made")

        finish = close = lambda self: None

    call = MemoryCall()
    call.incoming.put_nowait(_file(b"f"))
    task = asyncio.ensure_future(filesend({0: Hanging()}, close_timeout=0.1)[_SEND](call))
    try:
        assert await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await asyncio.wait([task], timeout=busy(2))
        assert task.cancelled()
    finally:
        hanging.set()


@pytest.mark.parametrize("type_", ["local", "tar"])
async def test_a_result_that_never_came_fails_the_build(tmp_path: Path, type_: str) -> None:
    """A daemon that says it is done but sent nothing."""
    place = str(tmp_path / "out")
    exports = Exports([Output(type_, {}, ToFolder(place) if type_ == "local" else ToFile(place))], 1)
    exports.services(0)
    with pytest.raises(BuildFailed, match=f"the daemon sent no result for output {type_}"):
        await put(exports)
    exports.abort()
    assert os.listdir(tmp_path) == []


async def test_of_two_outputs_none_is_put_in_place_if_one_is_missing(tmp_path: Path) -> None:
    """The first stays what it was, though it came whole."""
    (tmp_path / "a.tar").write_text("old")
    exports = Exports([Output("tar", {}, ToFile(str(tmp_path / name))) for name in ("a.tar", "b.tar")], 1)
    await send_archive(exports, 0, b"new")
    with pytest.raises(BuildFailed):
        await put(exports)
    exports.abort()
    assert (tmp_path / "a.tar").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.tar"]


async def test_of_two_merged_archives_none_is_put_in_place_if_one_cannot_be_read(tmp_path: Path) -> None:
    """All are merged before the first is renamed."""
    names = ["a.tar", "b.tar"]
    exports = Exports([Output("tar", {}, ToFile(str(tmp_path / name))) for name in names], 2)
    for node in range(2):
        await send_archive(exports, node, tar_of({f"a{node}": b"1"}))
        await send_archive(exports, node, b"no tar at all" * 100, exporter="1")
    with pytest.raises(BuildFailed, match="a node sent an archive"):
        await put(exports)
    exports.abort()
    assert os.listdir(tmp_path) == []


def test_a_destination_of_the_wrong_kind_is_refused_first(tmp_path: Path) -> None:
    """In docker buildx's words."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a directory"):
        Exports([Output("tar", {}, ToFile(str(tmp_path)))], 1)
    with pytest.raises(UsageError, match="is a file"):
        Exports([Output("local", {}, ToFolder(str(tmp_path / "file")))], 1)


async def test_an_exporter_that_was_not_asked_for_is_refused() -> None:
    """The daemon's number must be one of ours."""
    for number in ("1", "x", "-1"):
        with pytest.raises(Status, match=f"exporter {number} not found"):
            await filesend({})[_SEND](MemoryCall({"buildkit-attachable-exporter-id": (number,)}))


KILLED_WHILE_AN_ARCHIVE_COMES = """
import os, signal, sys
from buildclient.results.archive import merge_tars
from buildclient.results.file import FileExport
from buildclient.results.merged import MergedExport
export = FileExport("tar", sys.argv[1])
MergedExport("tar", export, merge_tars, sys.argv[2] or None).receiver(0).write([b"x" * 1000000])
export.receiver(0).write([b"x" * 1000000])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("parts", ["", "parts"])
def test_a_command_that_is_killed_leaves_nothing_of_an_archive(tmp_path: Path, parts: str) -> None:
    """Neither beside its place nor among temporary files."""
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_AN_ARCHIVE_COMES, str(tmp_path / "out" / "a.tar"), parts],
        env={**os.environ, "TMPDIR": str(tmp_path / "out"), "PYTHONPATH": os.getcwd()},
        cwd=tmp_path / "out",
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert [name for _, _, names in os.walk(tmp_path / "out") for name in names] == []


@pytest.mark.parametrize("refused", ["nameless", "link"])
@pytest.mark.parametrize("before", [None, b"old"])
async def test_a_file_system_that_knows_no_files_without_names_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str, before: bytes | None
) -> None:
    """The archive is in its place all the same, with the mode of any new file, and nothing is beside it."""

    def refuse(*arguments: object, **more: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("buildclient.base.files.nameless" if refused == "nameless" else "os.link", refuse)
    dest = tmp_path / "out.tar"
    if before is not None:
        dest.write_bytes(before)
    exports = Exports([Output("tar", {}, ToFile(str(dest)))], 1)
    await send_archive(exports, 0, b"new" * 10_000)
    await put(exports)
    (tmp_path / "plain").touch()
    assert dest.read_bytes() == b"new" * 10_000
    assert dest.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "plain"]
