"""BuildKit's cache on persistent volumes outlives pods, rolls, scaling and the stack, as far as it is asked to."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from buildclient.contract.output import BuilderOutput
from tests.cluster.infra_project import ROOT, PulumiProject
from tests.load import busy

pytestmark = pytest.mark.cluster

BIN = ROOT / ".venv" / "bin"
_STEP = "RUN echo made >layer"
_PROBE = "RUN --mount=type=cache,target=/kept sh -c 'ls /kept; touch /kept/full'"
_VOLUME = {"persistent-volume-claim.requests.storage": "1Gi", "nodeselector": {"kubernetes.io/arch": "amd64"}}
_GONE = {"persistent-volume-claim.when-scaled": "Delete", "persistent-volume-claim.when-deleted": "delete"}
_WAIT = 40
"""Seconds in which a controller deletes claims."""


class Stack(NamedTuple):
    """A builder of two nodes: `keep` retains its volumes, `drop` does not."""

    project: PulumiProject
    namespace: str
    context: Path

    def configure(self, replicas: int, **options: str) -> None:
        """Write the config, with so many replicas and these options of both nodes."""
        opts = {**_VOLUME, "default-requests": False, "replicas": replicas, **options}
        nodes = [
            {"name": "keep", "platforms": ["linux/amd64"], "driver-opts": opts},
            {"name": "drop", "platforms": ["linux/s390x"], "driver-opts": {**opts, **_GONE}},
        ]
        self.project.configure(name="kube", namespace=self.namespace, nodes=nodes)

    def build(self) -> str:
        """Build on node `keep`, probing the cache mount; the progress, step by step."""
        command = [str(BIN / "buildclient"), "build", "--stack", "test", "--progress", "plain", "--platform"]
        done = self.project.run(
            *command, "linux/amd64", "--build-arg", f"PROBE={time.time_ns()}", str(self.context), timeout=120
        )
        assert done.status == 0, done.output
        return done.output

    def assert_warm(self, after: str) -> None:
        """Fail unless the cacheable steps are cached and the cache mount is full."""
        progress = self.build()
        number = re.search(rf"^#(\d+) .*{re.escape(_STEP)}$", progress, re.MULTILINE)
        assert number is not None, progress
        assert f"#{number[1]} CACHED" in progress, f"after {after}:\n{progress}"
        assert re.search(r"^#\d+ [\d.]+ full$", progress, re.MULTILINE), f"after {after}:\n{progress}"

    def attach_docker_buildx(self) -> str:
        """Make a builder of docker buildx for node `keep`; what it lists. Fail if it changes the StatefulSet."""
        what = "jsonpath={.metadata.uid}{.spec}"
        before = self._kubectl("get", "statefulset", "keep", "-o", what)
        buildx = self.project.run(str(BIN / "python"), "-m", "localcluster", "tools", "buildx").output.split()[-1]
        options = f"namespace={self.namespace},persistent-volume-claim.requests.storage=1Gi"
        done = self.project.run(
            buildx, "create", "--bootstrap", "--name", "kube", "--driver", "kubernetes", "--node", "keep",
            "--driver-opt", options,
        )  # fmt: skip
        assert done.status == 0, done.output
        assert self._kubectl("get", "statefulset", "keep", "-o", what) == before
        return next(line for line in self.project.run(buildx, "ls").output.splitlines() if "deployment=keep" in line)

    def claims(self, node: str) -> list[str]:
        """The node's claims that are there and not being deleted."""
        listed = json.loads(self._kubectl("get", "pvc", "-l", f"app={node}", "-o", "json"))
        return sorted(one["metadata"]["name"] for one in listed["items"] if "deletionTimestamp" not in one["metadata"])

    def pod(self, name: str) -> str:
        """The uid of a pod."""
        return self._kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")

    def _kubectl(self, *arguments: str) -> str:
        return self.project.kubectl("-n", self.namespace, *arguments)


def _until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + busy(_WAIT)
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


@pytest.fixture
def stack(cluster: dict[str, str], tmp_path: Path, namespace: str) -> Iterator[Stack]:
    """The project, its namespace and a context; destroyed afterwards."""
    context = tmp_path / "context"
    context.mkdir()
    text = f"FROM {cluster['BASE_IMAGE']}\n{_STEP}\nARG PROBE\n{_PROBE}\n"
    (context / "Dockerfile").write_text(text)
    project = PulumiProject(tmp_path / "project", cluster)
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    yield Stack(project, namespace, context)
    project.pulumi("destroy", "--yes", "--skip-preview")


def test_the_cache_outlives_pods_rolls_scaling_and_the_stack(stack: Stack) -> None:
    """Steps are cached and the cache mount is full after each; volumes go exactly where Delete was chosen."""
    project = stack.project
    stack.configure(replicas=1)
    project.up()
    output = BuilderOutput.from_json(project.output())
    assert [node.workload and node.workload.kind for node in output.nodes] == ["StatefulSet", "StatefulSet"]
    assert "CACHED" not in stack.build()
    stack.assert_warm("nothing")
    assert project.pulumi("preview", "--expect-no-changes", "--refresh").status == 0

    assert "running" in stack.attach_docker_buildx()

    before = stack.pod("keep-0")
    project.kubectl("-n", stack.namespace, "delete", "pod", "keep-0")
    assert _until(lambda: _is_another(stack, before))
    stack.assert_warm("the pod's deletion")

    stack.configure(replicas=3)
    project.up()
    assert stack.claims("keep") == [f"buildkitd-keep-{n}" for n in range(3)]
    assert len(stack.claims("drop")) == 3
    before = stack.pod("keep-0")
    stack.configure(replicas=1, **{"requests.memory": "16Mi"})
    project.up()
    assert stack.pod("keep-0") != before, "rolled to another template"
    stack.assert_warm("1→3→1 and a roll")
    assert _until(lambda: stack.claims("drop") == ["buildkitd-drop-0"]), stack.claims("drop")
    assert len(stack.claims("keep")) == 3

    done = project.pulumi("destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.output
    assert _until(lambda: stack.claims("drop") == []), stack.claims("drop")
    assert len(stack.claims("keep")) == 3
    project.up()
    stack.assert_warm("a destroyed stack was made again")


def _is_another(stack: Stack, before: str) -> bool:
    listed = json.loads(stack.project.kubectl("-n", stack.namespace, "get", "pods", "-l", "app=keep", "-o", "json"))
    return any(
        pod["metadata"]["uid"] != before
        and any(c["type"] == "Ready" and c["status"] == "True" for c in _conditions(pod))
        for pod in listed["items"]
    )


def _conditions(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return list(pod["status"].get("conditions", []))
