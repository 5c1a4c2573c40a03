"""The machine before and after: what is new, what is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from localcluster.instance import Instance
from localcluster.machine import preflight, snapshot


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def skip_unless_boxes_can_be_made(instance: Instance) -> None:
    """Skips, saying why, where preflight would stop the cluster: no root, or one that may not make namespaces."""
    if why := preflight._system(instance) or preflight._root(instance) or preflight._namespaces(instance):
        pytest.skip(why)


def test_a_comparison_names_what_is_new_and_what_is_gone() -> None:
    """One line a difference, signed; what matches the pattern of others does not count."""
    before = snapshot.Snapshot({"links": frozenset({"lo", "eth0"}), "mounts": frozenset({"/"})})
    after = snapshot.Snapshot({"links": frozenset({"lo", "lc-host", "xy-host"}), "mounts": frozenset({"/"})})
    assert snapshot.compare(before, before) == []
    assert snapshot.compare(before, after) == ["- links: eth0", "+ links: lc-host", "+ links: xy-host"]
    assert snapshot.compare(before, after, ignoring=r"\b(?!xy)[a-z]+-host") == ["- links: eth0", "+ links: xy-host"]


def test_a_snapshot_sees_a_new_mount_namespace(tmp_path: Path, instance: Instance) -> None:
    """A process in a box of its own is in the second look and not in the first, and gone again in the third."""
    skip_unless_boxes_can_be_made(instance)
    name = f"boxed{os.getpid()}"
    shutil.copy2(shutil.which("sleep") or "", tmp_path / name)
    first = snapshot.take()
    with subprocess.Popen(["unshare", "--mount", tmp_path / name, "61"]) as boxed:
        time.sleep(0.3)
        added = [line for line in snapshot.compare(first, snapshot.take()) if name in line]
        boxed.kill()
    assert len(added) == 1
    assert added[0].startswith(f"+ processes: {name} in ")
    assert not any(name in line for line in snapshot.compare(first, snapshot.take()))
