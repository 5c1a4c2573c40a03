"""Trees that a build exports to this machine: never outside of their place, and no half files."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat as st
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from buildclient.inputs.filesync import LocalDir, filesync
from buildclient.results.filesend import filesend
from buildclient.results.tree import Tree, _set_mode
from buildclient.session import diffcopy
from buildclient.session.call import Status
from tests.unit.export_feed import feed, file, folder, link
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
    await feed(dest, folder(b"d"), file(b"d/new"), file(b"f"))
    assert sorted(p.name for p in dest.rglob("*")) == ["d", "f", "keep", "keep", "new"]
    assert (outside.read_text(), (dest / "f").read_text(), (dest / "f").is_symlink()) == ("mine", "x", False)


@pytest.mark.parametrize("path", [b"../x", b"/x", b"a/../../x", b"..", b".", b"a//b", b"", b"a/", b"./x", b"a\0b"])
async def test_a_path_that_is_not_inside_is_refused(tmp_path: Path, path: bytes) -> None:
    """Whatever the daemon sends, nothing is written next to the export."""
    dest = tmp_path / "dest"
    with pytest.raises(Status, match="not inside the export"):
        await feed(dest, file(path) if path else diffcopy.encode_stat(b"", 0o644, 1, 1))
    assert os.listdir(tmp_path) == ["dest"]
    assert os.listdir(dest) == []


async def test_no_link_leads_out(tmp_path: Path) -> None:
    """Neither one that the daemon sent before, nor one that was there, nor a hard link's source."""
    (tmp_path / "outside").mkdir()
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "old").symlink_to("../outside")
    hard = diffcopy.encode_stat(b"z", 0o644, 1, 1, b"../outside/x")
    for stats in ((link(b"l", b"../outside"), file(b"l/x")), (file(b"old/x"),), (hard,)):
        with pytest.raises(Status):
            await feed(dest, *stats)
    assert os.listdir(tmp_path / "outside") == []


async def test_what_takes_the_place_of_something_sent_before_leads_nowhere_either(tmp_path: Path) -> None:
    """A folder that becomes a link under its files, a hard link to a link that leads out, or to an absolute path."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_text("mine")
    dest = tmp_path / "dest"
    away = link(b"d", b"../outside")
    hard_to_link = diffcopy.encode_stat(b"h", 0o644, 1, 1, b"l")
    hard_to_root = diffcopy.encode_stat(b"h", 0o644, 1, 1, os.fsencode(tmp_path / "secret"))
    for stats in (
        (folder(b"d"), away, file(b"d/x")),
        (folder(b"d"), file(b"d/x"), away, file(b"d/y")),
        (folder(b"d"), folder(b"d/e"), away, folder(b"d/e")),
        (hard_to_root,),
    ):
        with pytest.raises(Status):
            await feed(dest, *stats)
        shutil.rmtree(dest)
    await feed(dest, link(b"l", b"../secret"), hard_to_link)
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


async def test_an_export_that_breaks_off_leaves_no_half_files(tmp_path: Path) -> None:
    """The old file is still the old one."""
    (tmp_path / "f").write_text("old")
    with pytest.raises(Status, match="ended before its end"):
        await feed(tmp_path, file(b"f"), contents=False)
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


async def test_content_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    """DATA with the id of a folder, or of nothing."""
    call = MemoryCall()
    for message in (folder(b"d"), diffcopy.encode_data_end(0), None):
        call.incoming.put_nowait(message)
    with pytest.raises(Status, match="not asked for"):
        await filesend({0: Tree(str(tmp_path))})[_SEND](call)


async def test_the_daemons_error_is_passed_on(tmp_path: Path) -> None:
    """An ERR in the middle ends the export with its text."""
    call = MemoryCall()
    call.incoming.put_nowait(diffcopy.encode_error("disk full"))
    with pytest.raises(Status, match="disk full"):
        await filesend({0: Tree(str(tmp_path))})[_SEND](call)
