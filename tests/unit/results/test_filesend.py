"""What the system refuses an export: the reason is told, with its path, as the build's own error."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import stat as st
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildclient.request.destinations import ToFile, ToStdout
from buildclient.request.values import Output
from buildclient.results.exports import export_of
from buildclient.results.filesend import filesend
from buildclient.results.tree import Tree
from buildclient.session import diffcopy
from buildclient.session.call import Code, Status
from buildclient.session.diffcopy import decode
from buildclient.session.wire import bytes_message
from tests.load import busy
from tests.unit.export_feed import SEND, file, folder
from tests.unit.filesync_call import MemoryCall
from tests.unit.mounts import mounted


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    with mounted(tmp_path / "small", "size=64k") as folder:
        yield folder


_NAME = "n" * 300


@contextlib.contextmanager
def _file_size(most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def _nobody(folder: Path) -> Iterator[None]:
    """As a user who may not write there, and who reaches all above."""
    if os.geteuid() != 0:
        pytest.skip("another user can be taken on by root alone")
    above = [parent for parent in folder.parents if parent.stat().st_uid == 0 and parent != Path("/")]
    modes = [(parent, st.S_IMODE(parent.stat().st_mode)) for parent in above]
    for parent, mode in modes:
        os.chmod(parent, mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in modes:
            os.chmod(parent, mode)


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield


_CAUSES: dict[str, tuple[Callable[[Path], contextlib.AbstractContextManager[None]], bytes, str]] = {
    "no space left on device": (lambda _: contextlib.nullcontext(), b"d/f", "small/d/f"),
    "file too large": (lambda _: _file_size(1000), b"d/f", "small/d/f"),
    "file name too long": (lambda _: contextlib.nullcontext(), _NAME.encode(), f"small/{_NAME}"),
    "read-only file system": (_read_only, b"d/f", "small/d"),
    "permission denied": (_nobody, b"d/f", "small/d"),
}


@pytest.mark.parametrize("cause", _CAUSES)
async def test_the_systems_own_reason_is_told_with_the_path(small: Path, cause: str) -> None:
    """To the daemon, which repeats it as the build's error; nothing half-written is left, and no closed folder."""
    if cause == "permission denied":
        os.chmod(small, 0o755)
    begin, name, place = _CAUSES[cause]
    call = MemoryCall()
    start = time.monotonic()
    with begin(small):
        task = asyncio.ensure_future(filesend({0: Tree(str(small))})[SEND](call))
        # A name that is too long shows once the file is whole.
        size = 1 if cause == "file name too long" else 1 << 17
        content = diffcopy.data_head(1, size) + bytes(size)
        for message in (folder(b"d"), file(name), diffcopy.END_OF_STATS, content, diffcopy.encode_data_end(1)):
            call.incoming.put_nowait(message)
        said = b""
        while said != b"refused" and not task.done():
            packet = decode(await call.said())
            if packet.type == diffcopy.ERR:
                # The daemon ends the call once it has heard why.
                call.incoming.put_nowait(None)
                said = b"refused"
        with pytest.raises(Status) as caught:
            await task
    assert packet.data.decode() == caught.value.message == f"write {small.parent / place}: {cause}"
    assert time.monotonic() - start < busy(2)
    left = [(path.name, oct(path.stat().st_mode)) for path in small.rglob("*")]
    assert left in ([], [("d", oct(st.S_IFDIR | 0o755))])


async def _refused(dest: ToFile | ToStdout, type_: str = "tar") -> Status:
    """How an archive ends that does not fit."""
    call = MemoryCall()
    call.incoming.put_nowait(bytes_message(bytes(1 << 17)))
    call.incoming.put_nowait(None)
    export = export_of(Output(type_, {}, dest), 1)
    assert export is not None
    with pytest.raises(Status) as caught:
        await filesend({0: export.receiver(0)})[SEND](call)
    export.abort()
    return caught.value


@pytest.mark.parametrize("type_", ["tar", "oci", "docker"])
async def test_an_archive_on_a_full_disk_names_its_file(small: Path, type_: str) -> None:
    """As docker buildx does, with its status; nothing of it is left."""
    dest = small / "out.tar"
    status = await _refused(ToFile(str(dest)), type_)
    assert (status.code, status.message) == (Code.RESOURCE_EXHAUSTED, f"write {dest}: no space left on device")
    assert list(small.iterdir()) == []


async def test_a_full_standard_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a full disk behind it, or a device."""
    assert (await _refused(ToFile("/dev/full"))).message == "write /dev/full: no space left on device"
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert (await _refused(ToStdout())).message == "write /dev/stdout: no space left on device"
