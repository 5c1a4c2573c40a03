"""Files that are written whole."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from buildclient.base.files import Place, read_bounded

BUILDER = {
    "version": 1,
    "name": "kube",
    "namespace": "none",
    "loadbalance": "sticky",
    "defaultLoad": False,
    "kubernetes": {},
    "nodes": [{"name": "one", "namespace": "none", "platforms": ["linux/amd64"], "address": "tcp://127.0.0.1:1"}],
}


@pytest.fixture(autouse=True)
def _builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder that cannot be reached: whoever asks it ends with another status."""
    path = tmp_path / "builder.json"
    path.write_text(json.dumps(BUILDER))
    monkeypatch.setenv("BUILDCLIENT_BUILDER", str(path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for name in ("DOCKER_DEFAULT_PLATFORM", "BUILDKIT_PROGRESS", "BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_BUILDER"):
        monkeypatch.delenv(name, raising=False)


def _write(path: Path, text: str) -> None:
    with closing(Place(str(path))) as place:
        place.write(text)


def test_a_result_goes_where_its_path_led_in_the_beginning(tmp_path: Path) -> None:
    """A link that was there is followed; one that the build's own output put there is replaced, or not seen."""
    (tmp_path / "own").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("own/linked")
    places = [Place(str(tmp_path / name)) for name in ("link", "own/plain")]
    (tmp_path / "own/plain").symlink_to("../outside/x")
    (tmp_path / "own").rename(tmp_path / "aside")
    (tmp_path / "own").symlink_to("outside")
    for place in places:
        place.write("text")
        place.close()
    assert sorted(os.listdir(tmp_path / "aside")) == ["linked", "plain"]
    assert not (tmp_path / "aside/plain").is_symlink()
    assert os.listdir(tmp_path / "outside") == []


def test_a_result_is_written_beside_under_a_name_that_nobody_can_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that others may write into, a link of theirs is neither followed nor replaced."""
    _write(tmp_path / "id", "first")
    mask = os.umask(0)
    os.umask(mask)
    assert os.stat(tmp_path / "id").st_mode & 0o777 == 0o666 & ~mask
    (tmp_path / f"id.{os.getpid()}").symlink_to("mine")
    _write(tmp_path / "id", "second")
    assert (tmp_path / "id").read_text() == "second"
    monkeypatch.setattr("secrets.token_hex", lambda size: "known")
    (tmp_path / ".buildclient-known").symlink_to("mine")
    with pytest.raises(FileExistsError):
        _write(tmp_path / "id", "third")
    assert (tmp_path / "id").read_text() == "second"
    assert (tmp_path / ".buildclient-known").is_symlink()
    assert not (tmp_path / "mine").exists()


def test_a_file_of_others_is_read_within_bounds(tmp_path: Path) -> None:
    """A device without an end is too large, as a file is."""
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_bounded(str(path), 5) == b"12345"
    for name in (str(path), "/dev/zero"):
        with pytest.raises(OSError, match="more than 4 bytes") as caught:
            read_bounded(name, 4)
        assert caught.value.filename == name
