"""Entries of an export that come where something else is: what goes, and what stays."""

from __future__ import annotations

import os
import stat as st
from collections.abc import Callable
from pathlib import Path

import pytest

from buildclient.results.tree import Tree
from buildclient.session import diffcopy
from buildclient.session.call import Status
from buildclient.session.diffcopy import Stat, decode
from tests.unit.export_feed import feed, file, folder, link
from tests.unit.mounts import mounted

_BEFORE = ["nothing", "file", "folder", "closed folder", "link out", "pipe"]
_AFTER: dict[str, tuple[tuple[bytes, ...], Callable[[Path], bool]]] = {
    "file": ((file(b"x"),), lambda path: path.read_bytes() == b"x" and not path.is_symlink()),
    "folder": ((folder(b"x"), file(b"x/new")), lambda path: (path / "new").exists() and not path.is_symlink()),
    "link": ((link(b"x", b"new"),), lambda path: os.readlink(path) == "new"),
    "pipe": ((diffcopy.encode_stat(b"x", diffcopy.GO_FIFO | 0o600, 0, 1),), lambda path: path.is_fifo()),
    "hard link": (
        (file(b"a"), diffcopy.encode_stat(b"x", 0o644, 1, 1, b"a")),
        lambda path: path.samefile(path.parent / "a"),
    ),
}


@pytest.mark.parametrize("after", _AFTER)
@pytest.mark.parametrize("before", _BEFORE)
async def test_an_entry_takes_the_place_of_whatever_is_there(tmp_path: Path, before: str, after: str) -> None:
    """As from docker buildx, a folder with all that is in it, too; what links in it lead to stays."""
    outside, dest = tmp_path / "outside", tmp_path / "dest"
    outside.mkdir()
    (outside / "mine").touch()
    dest.mkdir()
    path = dest / "x"
    if before == "file":
        path.write_text("old")
    elif before == "link out":
        path.symlink_to(outside)
    elif before == "pipe":
        os.mkfifo(path)
    elif before != "nothing":
        (path / "deep/er").mkdir(parents=True)
        (path / "deep/er/file").touch()
        (path / "deep/out").symlink_to(outside)
        os.mkfifo(path / "pipe")
        os.chmod(path, 0o500 if before == "closed folder" else 0o755)
    stats, holds = _AFTER[after]
    await feed(dest, *stats)
    assert holds(path)
    assert os.listdir(outside) == ["mine"]
    assert {entry.name for entry in dest.iterdir()} <= {"x", "a"}
    if after == "folder" and "folder" in before:
        # Folders are merged.
        assert (path / "deep/er/file").exists()
        assert st.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize("place", ["f", "f/deep/er"])
async def test_what_is_mounted_in_the_way_is_not_emptied(tmp_path: Path, place: str) -> None:
    """It is said where a file system is mounted, and nothing beside it is lost either."""
    (tmp_path / "f/deep/er").mkdir(parents=True)
    (tmp_path / "f/mine").touch()
    with mounted(tmp_path / place, "size=64k") as inner:
        (inner / "precious").touch()
        with pytest.raises(Status) as caught:
            await feed(tmp_path, file(b"f"))
        assert caught.value.message == f"write {tmp_path / place}: a file system is mounted there"
        assert [entry.name for entry in inner.iterdir()] == ["precious"]
        assert os.listdir(tmp_path) == ["f"]
    if place != "f":
        assert sorted(os.listdir(tmp_path / "f")) == ["deep", "mine"]


_NAME = b"n" * 300


async def test_a_folder_that_was_closed_is_closed_again_after_a_failure(tmp_path: Path) -> None:
    """What a folder's owner may not write into is opened for as long as the export takes."""
    (tmp_path / "d").mkdir(mode=0o500)
    with pytest.raises(Status, match="file name too long"):
        await feed(tmp_path, folder(b"d"), file(b"d/" + _NAME))
    assert st.S_IMODE((tmp_path / "d").stat().st_mode) == 0o500


@pytest.mark.parametrize("made", [False, True])
async def test_a_destination_is_where_it_was_when_the_build_began(tmp_path: Path, made: bool) -> None:
    """Another output of the same build may put a link in its place, or above it."""
    (tmp_path / "outside").mkdir()
    dest = tmp_path / "a/b"
    if made:
        dest.mkdir(parents=True)
    tree = Tree(str(dest))
    if made:
        (tmp_path / "a").rename(tmp_path / "aside")
    (tmp_path / "a").symlink_to("outside")
    if made:
        tree.open().entry(decode(folder(b"d")).stat or Stat(b""))
        assert os.listdir(tmp_path / "aside/b") == ["d"]
    else:
        with pytest.raises(NotADirectoryError):
            tree.open()
    tree.close()
    assert os.listdir(tmp_path / "outside") == []
