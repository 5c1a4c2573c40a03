"""Bridge, namespaces and routes of an instance."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.instance import Instance
from localcluster.machine import preflight
from tests.conftest import ROOT


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def skip_unless_boxes_can_be_made(instance: Instance) -> None:
    """Skips, saying why, where preflight would stop the cluster: no root, or one that may not make namespaces."""
    if why := preflight._system(instance) or preflight._root(instance) or preflight._namespaces(instance):
        pytest.skip(why)


NETWORK = """\
import pathlib, sys
from localcluster.instance import Instance
from localcluster.machine import network, snapshot
folder = pathlib.Path(sys.argv[1])
one, two = (Instance(name, octet, folder / "state" / name, folder / "run" / name)
            for name, octet in (("test", 200), ("other", 201)))
before = snapshot.take()
network.up(one)
assert network.is_up(one) and not network.is_up(two)
network.up(two)
network.up(one)
network.down(one)
network.forget_mount(one, last=False)
assert network.is_up(two)
network.down(two)
network.forget_mount(two, last=True)
# What other programs of the machine do meanwhile is not shut out: their cgroups and processes.
others = ("cgroups", "processes", "emulators")
differences = [line for line in snapshot.compare(before, snapshot.take()) if not line[2:].startswith(others)]
assert not differences, differences
assert not pathlib.Path("/run/netns").exists()
assert not any(path.is_file() for path in folder.rglob("*"))
"""


def test_a_network_leaves_a_bare_machine_as_it_was(tmp_path: Path, instance: Instance) -> None:
    """On a machine that never had a namespace: two instances up, the first down before the second, nothing left."""
    skip_unless_boxes_can_be_made(instance)
    if not shutil.which("ip"):
        pytest.skip("there is no ip on PATH (iproute2, which `localcluster up` installs)")
    # As on a machine of its own, whatever runs on this one.
    script = "umount -l /run/netns 2> /dev/null; mount -t tmpfs none /run && mount -t sysfs none /sys"
    script += ' && ip link set lo up && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script, "sh", sys.executable, "-c", NETWORK, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
