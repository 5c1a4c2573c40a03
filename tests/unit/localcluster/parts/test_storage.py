"""The provisioner of volumes: its objects, and how one sees that it has started."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.parts.storage import _TAIL, _has_started, storage_objects

_STARTING = "I1125 controller.go:1] Starting provisioner controller rancher.io/local-path_x!\n"
_STARTED = "I1125 controller.go:2] Started provisioner controller rancher.io/local-path_x!\n"


def test_each_object_is_at_its_path() -> None:
    """A path ends in the object's name, and a namespaced object's has its namespace."""
    for path, body in storage_objects():
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        assert path.endswith(f"/{metadata['name']}")
        assert metadata.get("namespace", "") in path


@pytest.mark.parametrize(
    ("log", "started"),
    [
        ("", False),
        (_STARTING, False),
        (_STARTING + _STARTED, True),
        (_STARTING + _STARTED + _STARTING, False),
        (_STARTING + _STARTED + "work\n" * _TAIL, True),
    ],
)
def test_the_log_tells_whether_it_has_started(log: str, started: bool, tmp_path: Path) -> None:
    """The last start counts; one that scrolled out of sight has succeeded."""
    (tmp_path / "storage.log").write_text(log)
    assert _has_started(tmp_path / "storage.log") is started


def test_without_a_log_it_has_not_started(tmp_path: Path) -> None:
    """A missing log is no error."""
    assert not _has_started(tmp_path / "storage.log")
