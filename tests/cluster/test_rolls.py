"""Builds end well while the pods beneath them are rolled and evicted. `make faults` does it with twenty at a time."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.held import held, release
from tests.cluster.infra_project import ROOT, PulumiProject
from tests.load import busy

pytestmark = pytest.mark.cluster


class Node:
    """A stack of one node with one pod. A build's step goes on until `release` of its mark."""

    def __init__(self, project: PulumiProject, namespace: str, context: Path, mark: str) -> None:
        self.project, self.namespace, self._context, self.mark = project, namespace, context, mark
        self._environment = {**project.environment, "BUILDCLIENT_BUILDER": str(context.parent / "builder.json")}

    def up(self, number: int) -> None:
        """Bring the stack to its config, with a setting of its own."""
        options = {"nodeselector": "kubernetes.io/arch=amd64", "env": {"NUMBER": number}, "default-requests": False}
        self.project.configure(name="kube", namespace=self.namespace, nodes=[{"name": "n", "driver-opts": options}])
        self.project.up()
        Path(self._environment["BUILDCLIENT_BUILDER"]).write_text(json.dumps(self.project.output()))

    def build(self) -> subprocess.Popen[str]:
        """Start a build, and wait until its step runs."""
        number = time.time_ns()
        command = [str(ROOT / ".venv/bin/buildclient"), "build", "--progress", "plain"]
        command += ["--build-arg", f"NUMBER={number}", "--metadata-file", "metadata.json", str(self._context)]
        process = subprocess.Popen(
            command,
            env=self._environment,
            cwd=self._context.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert any(f"step begins {number}" in line for line in process.stderr)
        return process

    def pods(self) -> dict[str, bool]:
        """The pods, and whether each is going."""
        items = json.loads(self.project.kubectl("-n", self.namespace, "get", "pods", "-l", "app=n", "-o", "json"))
        return {one["metadata"]["name"]: "deletionTimestamp" in one["metadata"] for one in items["items"]}

    def evict(self, pod: str) -> None:
        """Evict a pod, as `kubectl drain` does."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        subprocess.run(
            ["kubectl", "create", "--raw", path, "-f", "-"],
            env=self.project.environment,
            input=json.dumps(body),
            text=True,
            check=True,
            timeout=30,
            capture_output=True,
        )


@pytest.fixture
def node(cluster: dict[str, str], tmp_path: Path, namespace: str) -> Iterator[Node]:
    """The stack, up; destroyed afterwards."""
    context = tmp_path / "context"
    context.mkdir()
    mark = f"rolls-{uuid.uuid4().hex[:8]}"
    step = f"ARG NUMBER\nRUN echo step begins $NUMBER; {held(mark)}"
    (context / "Dockerfile").write_text(f"FROM {cluster['BASE_IMAGE']}\n{step}\n")
    project = PulumiProject(tmp_path / "project", cluster)
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    made = Node(project, namespace, context, mark)
    made.up(0)
    yield made
    project.pulumi("destroy", "--yes", "--skip-preview")


def _ended(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=busy(60))
    assert process.returncode == 0, said


def test_a_build_outlives_the_roll_and_the_eviction_of_its_pod(node: Node) -> None:
    """Its pod goes once the build has ended, with what is asked of it after that; meanwhile another one builds."""
    (first,) = node.pods()
    building = node.build()
    node.up(1)
    assert building.poll() is None, "the roll did not wait for the build"
    assert node.pods()[first], "the old pod is on its way out"
    (second,) = node.pods().keys() - {first}
    beside = node.build()
    node.evict(second)
    assert node.pods()[second], "and so is the new one"
    assert (building.poll(), beside.poll()) == (None, None), "neither pod is gone before its build has ended"
    release(node.mark, steps=2)
    _ended(building)
    _ended(beside)
    deadline = time.monotonic() + busy(15)
    while node.pods().keys() & {first, second}:
        assert time.monotonic() < deadline, "an idle pod goes at once"
        time.sleep(0.5)
