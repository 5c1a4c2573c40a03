"""The folder of an OCI layout: its index is changed by several programs at once, and read meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildclient.base.folders import PlannedFolder
from buildclient.base.ociindex import tag_name
from buildclient.base.ocilayout import LayoutError, open_layout, put_in_index, read_layout

_MANIFEST = {"mediaType": "m", "digest": f"sha256:{'a' * 64}", "size": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """An open, empty folder."""
    handle = open_layout(str(tmp_path))
    yield handle
    os.close(handle)


def test_an_index_is_made_and_read(folder: int, tmp_path: Path) -> None:
    """With the file that says what the folder is, and without the lock's."""
    put_in_index(folder, str(tmp_path), [_MANIFEST], [tag_name("latest")])
    assert sorted(os.listdir(tmp_path)) == ["index.json", "oci-layout"]
    assert read_layout(folder, str(tmp_path))["manifests"][0]["digest"] == _MANIFEST["digest"]
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_all_who_write_at_once_are_in_the_index(folder: int, tmp_path: Path) -> None:
    """None overwrites another's, as one waits for the lock of the other, and readers always find an index."""
    put_in_index(folder, str(tmp_path), [_MANIFEST], [tag_name("first")])
    tags = [f"t{number}" for number in range(20)]
    threads = [
        threading.Thread(target=put_in_index, args=(folder, str(tmp_path), [_MANIFEST], [tag_name(tag)]))
        for tag in tags
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert read_layout(folder, str(tmp_path))["manifests"]
    found = {one["annotations"]["org.opencontainers.image.ref.name"] for one in _index(tmp_path)["manifests"]}
    assert found == {"first", *tags}
    assert not (tmp_path / "index.json.lock").exists()


def test_who_holds_the_lock_for_long_is_named(folder: int, tmp_path: Path) -> None:
    """The index stays as it is."""
    with (tmp_path / "index.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(LayoutError, match=r"could not lock .*index\.json\.lock: another program"):
            put_in_index(folder, str(tmp_path), [_MANIFEST], [tag_name("latest")], timeout=0.1)
    assert not (tmp_path / "index.json").exists()


def test_an_index_that_is_being_written_is_read_again(folder: int, tmp_path: Path) -> None:
    """As long as there is a lock: docker buildx writes it in place."""
    (tmp_path / "index.json").write_text('{"manifests": [')
    (tmp_path / "index.json.lock").touch()
    timer = threading.Timer(0.1, (tmp_path / "index.json").write_text, ['{"manifests": []}'])
    timer.start()
    assert read_layout(folder, str(tmp_path), timeout=5)["manifests"] == []
    timer.join()


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "unexpected end of JSON input"), ("[]", "not a JSON object"), ("{", "could not unmarshal")],
)
def test_an_index_that_is_none_is_named(folder: int, tmp_path: Path, text: str, message: str) -> None:
    """Reading and writing both say which file; it stays."""
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(LayoutError, match=message):
        read_layout(folder, str(tmp_path))
    if text:
        with pytest.raises(LayoutError, match=message):
            put_in_index(folder, str(tmp_path), [_MANIFEST], [tag_name("latest")])
    assert (tmp_path / "index.json").read_text() == text


def test_a_layout_that_is_missing_is_named_as_docker_buildx_does(tmp_path: Path) -> None:
    """By the lock that it would take first."""
    with pytest.raises(LayoutError) as caught:
        open_layout(f"{tmp_path}/x")
    lock = f"{tmp_path}/x/index.json.lock"
    assert str(caught.value) == f"could not lock {lock}: open {lock}: no such file or directory"


def test_a_planned_folder_is_made_where_its_path_led_first(tmp_path: Path) -> None:
    """A link that comes into the way is not followed."""
    planned = PlannedFolder(str(tmp_path / "a/b/../c"))
    handle = planned.open()
    (tmp_path / "a/c/file").touch()
    assert os.listdir(handle) == ["file"]
    os.close(handle)
    planned.remove()
    assert (tmp_path / "a/c/file").exists()
    (tmp_path / "a/c/file").unlink()
    planned.remove()
    assert not (tmp_path / "a").exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to("elsewhere")
    with pytest.raises(OSError, match=r"a/b/\.\./c"):
        planned.open()
    assert not list((tmp_path / "elsewhere").iterdir())
    planned.close()


def _index(folder: Path) -> dict[str, list[dict[str, dict[str, str]]]]:
    found: dict[str, list[dict[str, dict[str, str]]]] = json.loads((folder / "index.json").read_text())
    return found
