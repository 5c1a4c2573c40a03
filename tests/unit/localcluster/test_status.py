"""`status`."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster.instance import Instance
from localcluster.status import status


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def test_status_makes_nothing(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked before there is a cluster, it says so without a tool or a file being made."""
    monkeypatch.setattr("localcluster.tools.ensure", lambda *_: pytest.fail("a tool was made"))
    lines = {line.name: line for line in status(instance)}
    assert lines["etcd"].detail == lines["node-arm64"].detail == "not started"
    assert not any(line.well for name, line in lines.items() if name != "rootless")
    assert not instance.state.parent.exists()
    assert not instance.run.parent.exists()
