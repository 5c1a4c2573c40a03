"""A folder with `mode=delete` holds the result and nothing else, and nothing outside of it is touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from buildclient.base.errors import BuildFailed, Cancelled, InvalidBuild
from buildclient.request.destinations import ToFile, ToFolder
from buildclient.request.values import Output
from buildclient.results.exports import Exports
from buildclient.results.folder import FolderExport
from buildclient.results.mirror import check_deletable
from buildclient.session import diffcopy
from buildclient.session.call import Status
from tests.unit.export_feed import feed, file, folder, link
from tests.unit.mounts import mounted

_WHOLE = {"buildkit-exporter-multi-platform": ("1",)}
_DELETE = {"mode": "delete"}

_TREES = some.recursive(
    some.sampled_from(["file", "link"]),
    lambda below: some.dictionaries(some.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def _plant(place: Path, tree: object, target: Path) -> None:
    if isinstance(tree, dict):
        place.mkdir(exist_ok=True)
        for name, below in tree.items():
            _plant(place / name, below, target)
    elif tree == "link":
        place.symlink_to(target)
    else:
        place.write_text("old")


def _stats(tree: object, path: bytes = b"") -> list[bytes]:
    if not isinstance(tree, dict):
        return [file(path) if tree == "file" else link(path, b"/nowhere")]
    own = [folder(path)] if path else []
    return own + [
        stat for name in sorted(tree) for stat in _stats(tree[name], (path + b"/" if path else b"") + name.encode())
    ]


def _seen(place: Path) -> object:
    if place.is_symlink():
        return "link"
    return {entry.name: _seen(entry) for entry in place.iterdir()} if place.is_dir() else "file"


@settings(max_examples=60, deadline=None)
@given(before=_TREES, results=some.lists(_TREES, min_size=1, max_size=2))
async def test_what_is_not_in_the_result_is_gone_whatever_was_there(before: object, results: list[object]) -> None:
    """The result of one node or of two, each below a folder of its own; what links lead to stays."""
    with tempfile.TemporaryDirectory() as place:
        outside, dest = Path(place, "outside"), Path(place, "dest")
        outside.mkdir()
        (outside / "mine").touch()
        _plant(dest, before, outside)
        export = FolderExport("local", str(dest), mirrored=True)
        trees = {f"p{node}": tree for node, tree in enumerate(results)}
        for node, (name, tree) in enumerate(trees.items()):
            await feed(export.receiver(node), *_stats({name: tree}), metadata=_WHOLE)
        export.stage()
        export.commit()
        export.abort()
        assert _seen(dest) == trees
        assert os.listdir(outside) == ["mine"]


async def test_a_failed_or_interrupted_build_deletes_nothing(tmp_path: Path) -> None:
    """One node's tree came, the other's did not; and one that was aborted before the end."""
    (tmp_path / "stale").touch()
    export = FolderExport("local", str(tmp_path), mirrored=True)
    await feed(export.receiver(0), file(b"a"), metadata=_WHOLE)
    export.receiver(1)
    with pytest.raises(BuildFailed, match="no result for output local"):
        export.stage()
    await feed(export.receiver(1), file(b"b"), metadata=_WHOLE)
    export.stage()
    export.abort()
    with pytest.raises((Cancelled, OSError)):
        export.commit()
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "stale"]


async def test_a_daemon_that_does_not_know_the_mode_is_refused(tmp_path: Path) -> None:
    """Its streams hold a platform each, so that all else would be deleted."""
    (tmp_path / "stale").touch()
    export = FolderExport("local", str(tmp_path), mirrored=True)
    with pytest.raises(Status) as caught:
        await feed(export.receiver(0), file(b"a"))
    assert caught.value.message == (
        "local exporter mode=delete requires a BuildKit daemon with multi-platform local export support"
    )
    assert os.listdir(tmp_path) == ["stale"]
    export.abort()


async def test_a_mount_in_the_way_is_said_before_anything_is_deleted(tmp_path: Path) -> None:
    """With its path; a mount that is part of the result is cleared as the rest."""
    (tmp_path / "a").touch()
    (tmp_path / "z").mkdir()
    (tmp_path / "kept").mkdir()
    with mounted(tmp_path / "z/m", "size=64k") as inner, mounted(tmp_path / "kept", "size=64k") as kept:
        (inner / "precious").touch()
        (kept / "stale").touch()
        export = FolderExport("local", str(tmp_path), mirrored=True)
        await feed(export.receiver(0), folder(b"kept"), metadata=_WHOLE)
        with pytest.raises(OSError, match="a file system is mounted there") as caught:
            export.stage()
        assert caught.value.filename == str(tmp_path / "z/m")
        assert sorted(os.listdir(tmp_path)) == ["a", "kept", "z"]
        assert [entry.name for entry in inner.iterdir()] == ["precious"]
    export.abort()


async def test_times_of_folders_are_the_results(tmp_path: Path) -> None:
    """Removing something from a folder does not change them."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/stale").touch()
    export = FolderExport("local", str(tmp_path), mirrored=True)
    stat = diffcopy.encode_stat(b"d", diffcopy.GO_DIR | 0o755, 0, 5_000_000_000)
    await feed(export.receiver(0), stat, metadata=_WHOLE)
    export.stage()
    export.commit()
    export.abort()
    assert os.listdir(tmp_path / "d") == []
    assert (tmp_path / "d").stat().st_mtime == 5


async def test_a_file_of_another_output_in_the_folder_stays(tmp_path: Path) -> None:
    """It is put in its place after the folder was cleared."""
    dest = tmp_path / "out"
    dest.mkdir()
    (dest / "x.tar").write_text("old")
    outputs = [Output("tar", {}, ToFile(str(dest / "x.tar"))), Output("local", _DELETE, ToFolder(str(dest)))]
    exports = Exports(outputs, 1, allow=["buildx.local.delete"])
    archive, tree = (exports._exports[number].receiver(0) for number in range(2))
    archive.write([b"new"])  # type: ignore[union-attr]
    archive.finish()  # type: ignore[union-attr]
    await feed(tree, file(b"f"), metadata=_WHOLE)  # type: ignore[arg-type]
    await exports.stage([])
    await exports.commit()
    exports.abort()
    assert {entry.name: entry.read_text() for entry in dest.iterdir()} == {"f": "x", "x.tar": "new"}


def test_only_below_the_working_directory_nothing_has_to_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are resolved, and `..` both before them, as docker buildx does, and after, as the system does."""
    work = tmp_path / "work"
    (work / "sub/deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (work / "out").symlink_to(tmp_path / "outside")
    (work / "in").symlink_to("sub/deep")
    monkeypatch.chdir(work)
    for dest in ("sub", "new", "in", "in/x", "..x", "sub/../new", "in/../x"):
        check_deletable(dest)
    for dest in (".", "..", "/", "sub/..", "out", "out/x", "in/..", "out/../sub", str(work), str(tmp_path)):
        with pytest.raises(InvalidBuild) as caught:
            check_deletable(dest)
        assert str(caught.value) == (
            f'local output mode=delete for destination "{dest}" requires --allow=buildx.local.delete'
        )
    output = Output("local", _DELETE, ToFolder("out"))
    Exports([output], 1, allow=["buildx.local.delete"]).abort()
    with pytest.raises(InvalidBuild):
        Exports([output], 1)


def test_a_wrong_mode_is_refused_before_the_build(tmp_path: Path) -> None:
    """In docker buildx's words."""
    with pytest.raises(InvalidBuild, match='invalid local exporter mode "nope"'):
        Exports([Output("local", {"mode": "nope"}, ToFolder(str(tmp_path)))], 1)
    Exports([Output("local", {"mode": " Copy "}, ToFolder(str(tmp_path)))], 1).abort()


@pytest.mark.parametrize("split", [True, False])
async def test_two_nodes_do_not_write_over_each_other(tmp_path: Path, split: bool) -> None:
    """A platform's folder is one node's; without such folders a path is, but for folders, which are merged."""
    export = FolderExport("local", str(tmp_path), nodes=2, split=split)
    await feed(export.receiver(0), folder(b"d"), file(b"d/a"))
    # What a node sends again, after a push that had to be repeated, is its own.
    await feed(export.receiver(0), folder(b"d"), file(b"d/a"))
    shown = "d" if split else "d/a"
    why = "" if split else " when split option is disabled"
    with pytest.raises(Status, match=f"cannot overwrite {shown} of one node with that of another{why}"):
        await feed(export.receiver(1), folder(b"d"), file(b"d/a"))
    await feed(export.receiver(1), folder(b"e"), file(b"e/a"))
    export.abort()
    assert sorted(os.listdir(tmp_path)) == ["d", "e"]
