"""The machine before and after: what is new, what is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcluster.instance import Instance
from localcluster.machine import preflight, snapshot
from tests.conftest import ROOT
from tests.load import busy

PLANTED = "tests.unit.localcluster.machine.planted"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def skip_unless_boxes_can_be_made(instance: Instance) -> None:
    """Skips, saying why, where preflight would stop the cluster: no root, or one that may not make namespaces."""
    if why := preflight._system(instance) or preflight._root(instance) or preflight._namespaces(instance):
        pytest.skip(why)


def test_a_comparison_names_what_is_new_and_what_is_gone() -> None:
    """One line a difference, signed."""
    before = snapshot.Snapshot({"links": frozenset({"lo", "eth0"}), "mounts": frozenset({"/"})})
    after = snapshot.Snapshot({"links": frozenset({"lo", "lc-host", "xy-host"}), "mounts": frozenset({"/"})})
    assert snapshot.compare(before, before) == []
    assert snapshot.compare(before, after) == ["- links: eth0", "+ links: lc-host", "+ links: xy-host"]


def test_a_snapshot_sees_a_new_mount_namespace(tmp_path: Path, instance: Instance) -> None:
    """A process in a box of its own is in the second look and not in the first, and gone again in the third."""
    skip_unless_boxes_can_be_made(instance)
    name = f"boxed{os.getpid()}"
    shutil.copy2(shutil.which("sleep") or "", tmp_path / name)
    first = snapshot.take()
    with subprocess.Popen(["unshare", "--mount", tmp_path / name, "61"]) as boxed:
        deadline = time.monotonic() + busy(20)
        while Path(f"/proc/{boxed.pid}/comm").read_text().strip() != name[:15]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        added = [line for line in snapshot.compare(first, snapshot.take()) if name in line]
        boxed.kill()
    assert len(added) == 1
    assert added[0].startswith(f"+ processes: {name} in ")
    assert not any(name in line for line in snapshot.compare(first, snapshot.take()))


def test_each_kind_of_leftover_is_noticed_and_nothing_of_others(tmp_path: Path, instance: Instance) -> None:
    """One of each planted: the instance's own is reported under its kind, the same of another instance is not."""
    skip_unless_boxes_can_be_made(instance)
    if not shutil.which("ip"):
        pytest.skip("there is no ip on PATH (iproute2, which `localcluster up` installs)")
    script = "umount -l /run/netns 2> /dev/null; mount -t tmpfs none /run"
    script += ' && mount -t tmpfs none /mnt && ip link set lo up && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script, "sh", sys.executable, "-m", PLANTED, str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wanted, reported), (_, others) = json.loads(done.stdout)
    for line in wanted:
        kind, _, text = line.partition(": ")
        assert any(one.startswith(f"+ {kind}: ") and text in one for one in reported), line
    assert others == []
