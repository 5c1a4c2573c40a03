"""A builder whose volume is full says so, and what makes room."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.instance import current_instance
from localcluster.machine import process
from tests.cluster.infra_project import ROOT, Done, PulumiProject

pytestmark = pytest.mark.cluster

_SIZE = "96m"
"""Of the volume's file system."""


@pytest.fixture
def full(cluster: dict[str, str], tmp_path: Path, namespace: str) -> Iterator[PulumiProject]:
    """A stack of one pod whose volume is a file system of `_SIZE`."""
    project = PulumiProject(tmp_path / "project", cluster)
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    _scale(project, namespace, 1)
    _scale(project, namespace, 0)  # A file system is mounted while no container has the volume.
    volumes = json.loads(project.kubectl("get", "pv", "-o", "json"))["items"]
    volume = next(one["spec"] for one in volumes if one["spec"]["claimRef"]["namespace"] == namespace)
    path = (volume.get("hostPath") or volume["local"])["path"]
    box = process.load(current_instance().run, "node-amd64")
    assert box is not None
    spaces = f"/proc/{box.pid}/ns"
    inside = ["nsenter", f"--mount={spaces}/mnt", f"--pid={spaces}/pid_for_children", "--"]
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", path], check=True, timeout=60)
    try:
        _scale(project, namespace, 1)
        yield project
    finally:
        _scale(project, namespace, 0)
        subprocess.run([*inside, "umount", "--lazy", path], check=True, timeout=60)
        project.pulumi("destroy", "--yes", "--skip-preview")


def _scale(project: PulumiProject, namespace: str, replicas: int) -> None:
    options = {
        "persistent-volume-claim.requests.storage": "96Mi",
        "persistent-volume-claim.when-deleted": "Delete",
        "nodeselector": {"kubernetes.io/arch": "amd64"},
        "default-requests": False,
        "replicas": replicas,
    }
    node = {"name": "full", "platforms": ["linux/amd64"], "driver-opts": options}
    project.configure(name="kube", namespace=namespace, nodes=[node])
    project.up()


def test_a_full_volume_is_said_and_pruned(full: PulumiProject, cluster: dict[str, str], tmp_path: Path) -> None:
    """A build on a full volume says what makes room; that works, and the pod lives on."""
    step = "ARG SIZE\nRUN dd if=/dev/zero of=/large bs=1M count=$SIZE"
    (tmp_path / "Dockerfile").write_text(f"FROM {cluster['BASE_IMAGE']}\n{step}\n")

    def client(*arguments: str) -> Done:
        return full.run(str(ROOT / ".venv/bin/buildclient"), *arguments, "--stack", "test", timeout=120)

    def build(megabytes: int) -> Done:
        return client("build", "--build-arg", f"SIZE={megabytes}", str(tmp_path))

    filled = build(120)
    assert (filled.status, "No space left on device" in filled.output) == (1, True), filled.output
    refused = build(40)
    assert refused.status == 102, refused.output
    assert "the disk of the builder's pod is full" in refused.output
    for number in range(3):
        assert client("prune", "--all", "--force").status == 0
        done = build(40 + number)
        assert done.status == 0, done.output
