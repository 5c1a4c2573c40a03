"""Going down below a folder: never out of it, and with few handles."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from buildclient.base.folders import DIRECTORY, Folders, reopened


def _names(handle: int) -> list[str]:
    return sorted(os.listdir(handle))


def test_each_folder_is_reached_from_each_other(tmp_path: Path) -> None:
    """Down, up, to a sibling whose name begins alike, and back to the root."""
    for name in ("a/b/c", "a/bb", "a-b", "ab/c"):
        (tmp_path / name / f"in-{Path(name).name}").mkdir(parents=True)
    with closing(Folders.of(tmp_path)) as folders:
        for name in ("a/b/c", "a/bb", "a/b", "a", "ab/c", "a-b", "ab", "", "a/b/c", "a/b/c"):
            assert _names(folders.at(name.encode())) == sorted(os.listdir(tmp_path / name))


@pytest.mark.parametrize("path", [b"..", b"a/..", b".", b"a//b", b"/etc", b"link", b"link/b", b"file", b"a/up/a"])
def test_no_name_leads_out(tmp_path: Path, path: bytes) -> None:
    """Neither `..` nor a link, wherever it stands; and what is no folder is refused."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "file").touch()
    with closing(Folders.of(tmp_path)) as folders:
        assert folders.at(b"a/b")
        with pytest.raises(NotADirectoryError):
            folders.at(path)
        assert folders.at(b"a/b")


def test_few_handles_are_open_however_deep_a_tree_is(tmp_path: Path) -> None:
    """As many as one process may have would not do."""
    path = b"/".join([b"d"] * 300)
    os.makedirs(os.path.join(os.fsencode(tmp_path), path))
    before = len(os.listdir("/proc/self/fd"))
    with closing(Folders.of(tmp_path)) as folders:
        for depth in (300, 299, 100, 300, 0):
            folders.at(b"/".join([b"d"] * depth))
            assert len(os.listdir("/proc/self/fd")) - before < 70
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_reopened_folder_is_listed_beside_the_first(tmp_path: Path) -> None:
    """Two nodes walk one context at the same time: each gets every entry once."""
    for number in range(3000):
        (tmp_path / f"{number}").touch()
    root = os.open(tmp_path, DIRECTORY)
    one, two = reopened(root), reopened(root)
    try:
        with os.scandir(one) as first, os.scandir(two) as second:
            pairs = [(a.name, b.name) for a, b in zip(first, second, strict=True)]
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 3000
    finally:
        for handle in (root, one, two):
            os.close(handle)
