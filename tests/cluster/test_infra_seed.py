"""The examples of docker buildx's Kubernetes driver page, done with stacks: each one's counterpart really runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from infra_project import PulumiProject

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def project(cluster: dict[str, str], tmp_path: Path, namespace: str) -> Iterator[PulumiProject]:
    """A project with an empty stack, for a namespace that kubectl made; destroyed afterwards."""
    made = PulumiProject(tmp_path / "project", cluster)
    assert made.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    yield made
    done = made.pulumi("destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.output


def _pods(project: PulumiProject, namespace: str) -> list[dict[str, Any]]:
    listed = json.loads(project.kubectl("-n", namespace, "get", "pods", "-o", "json"))
    return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]


def test_scaling_to_four_replicas(project: PulumiProject, namespace: str) -> None:
    """`--driver-opt=namespace=…,replicas=4`: kubectl lists Deployment kube0 with 4/4 and four running pods."""
    project.configure(name="kube", **{"driver-opts": f"namespace={namespace},replicas=4"})
    project.up()
    listed = project.kubectl("-n", namespace, "get", "deployments", "--no-headers").split()
    assert listed[:2] == ["kube0", "4/4"]
    pods = project.kubectl("-n", namespace, "get", "pods", "--no-headers").splitlines()
    assert len(pods) == 4
    for line in pods:
        name, ready, status = line.split()[:3]
        assert name.startswith("kube0-")
        assert (ready, status) == ("1/1", "Running")


def test_resources_are_what_the_pods_have(project: PulumiProject, namespace: str) -> None:
    """Requests and limits reach the running pods, ephemeral storage as a request."""
    text = "requests.cpu=0.1,requests.memory=64Mi,requests.ephemeral-storage=50M,limits.cpu=2,limits.memory=1024Mi"
    project.configure(name="kube", namespace=namespace, **{"driver-opts": text})
    project.up()
    (pod,) = _pods(project, namespace)
    assert pod["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "50M"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert project.pulumi("preview", "--expect-no-changes", "--refresh").status == 0


def test_node_selector_and_tolerations_place_the_pod(project: PulumiProject, namespace: str) -> None:
    """The page's quoted text selects a node by its label, and its tolerations are the pod's."""
    text = (
        'nodeselector="kubernetes.io/arch=arm64,kubernetes.io/os=linux",'
        '"tolerations=key=foo,value=bar;key=foo2,operator=exists;key=foo3,effect=NoSchedule"'
    )
    project.configure(name="kube", namespace=namespace, **{"driver-opts": text})
    project.up()
    (pod,) = _pods(project, namespace)
    label = r"jsonpath={.metadata.labels.kubernetes\.io/arch}"
    assert project.kubectl("get", "node", pod["spec"]["nodeName"], "-o", label) == "arm64"
    given = [toleration for toleration in pod["spec"]["tolerations"] if toleration["key"].startswith("foo")]
    assert given == [
        {"key": "foo", "value": "bar"},
        {"key": "foo2", "operator": "Exists"},
        {"key": "foo3", "effect": "NoSchedule"},
    ]
    assert project.pulumi("preview", "--expect-no-changes", "--refresh").status == 0


def test_a_taint_keeps_off_pods_that_do_not_tolerate_it(project: PulumiProject, namespace: str) -> None:
    """A pod that no node may take fails the update by its timeout, in a message that names it; repaired, it runs."""
    options: dict[str, Any] = {"timeout": "4s", "nodeselector": {"no-such-label": "x"}}
    project.configure(name="kube", namespace=namespace, **{"driver-opts": options})
    failed = project.pulumi("up", "--yes", "--skip-preview")
    assert failed.status != 0
    assert "kube0" in failed.output
    assert "Traceback" not in failed.output
    project.configure(name="kube", namespace=namespace)
    project.up()
    assert len(_pods(project, namespace)) == 1


def test_state_in_memory_is_a_tmpfs(project: PulumiProject, namespace: str) -> None:
    """`buildkit-root-volume-memory` mounts /var/lib/buildkit from memory; without it, it is on disk."""
    project.configure(name="kube", namespace=namespace, **{"driver-opts": "buildkit-root-volume-memory=256Mi"})
    project.up()
    mounts = project.kubectl("-n", namespace, "exec", "deploy/kube0", "--", "cat", "/proc/mounts")
    (line,) = [line for line in mounts.splitlines() if " /var/lib/buildkit " in line]
    assert line.startswith("tmpfs ")


def test_qemu_is_installed_before_buildkit_starts(project: PulumiProject, namespace: str) -> None:
    """`qemu.install=true` runs the installer, and BuildKit reports an architecture that no machine here has."""
    text = "qemu.install=true,nodeselector=kubernetes.io/arch=amd64"
    project.configure(name="kube", namespace=namespace, **{"driver-opts": text})
    project.up()
    (pod,) = _pods(project, namespace)
    (state,) = [status["state"] for status in pod["status"]["initContainerStatuses"]]
    assert state["terminated"]["exitCode"] == 0
    workers = project.kubectl("-n", namespace, "exec", "deploy/kube0", "--", "buildctl", "debug", "workers")
    assert "linux/s390x" in workers
