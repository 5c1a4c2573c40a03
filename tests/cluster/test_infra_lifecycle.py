"""A stack's life on a real cluster: made, unchanged, scaled, changed, drifted, attached to, reduced, destroyed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildclient.contract.output import CONFIG_MAP_KEY, BuilderOutput
from tests.cluster.infra_project import ROOT, PulumiProject

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def _config(namespace: str) -> dict[str, Any]:
    """Stack `local` in another namespace."""
    import yaml

    stored = yaml.safe_load((ROOT / "localcluster" / "Pulumi.local.yaml").read_text())["config"]
    return {**{key.partition(":")[2]: value for key, value in stored.items()}, "namespace": namespace}


def _pods(project: PulumiProject, namespace: str, app: str) -> list[str]:
    """The names of an app's pods that are ready and not going."""
    listed = json.loads(project.kubectl("-n", namespace, "get", "pods", "-l", f"app={app}", "-o", "json"))
    return [
        pod["metadata"]["name"]
        for pod in listed["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    ]


class Running:
    """A stack that is up, and the namespace it made."""

    def __init__(self, project: PulumiProject, namespace: str) -> None:
        self.project = project
        self.namespace = namespace
        self.config = _config(namespace)

    def changed(self, node: int, **options: Any) -> dict[str, Any]:
        """The config with a node's options changed."""
        config = copy.deepcopy(self.config)
        config["nodes"][node]["driver-opts"].update(options)
        return config

    def restore(self) -> None:
        """Bring the stack back to its config."""
        self.project.configure(**self.config)
        self.project.up()


@pytest.fixture(scope="module")
def running(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack like `local`, up; destroyed afterwards, with a look at what it leaves."""
    namespace = f"infra-{uuid.uuid4().hex[:6]}"
    stack = Running(PulumiProject(tmp_path_factory.mktemp("project"), cluster), namespace)
    stack.project.configure(**stack.config)
    assert stack.project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    preview = stack.project.pulumi("preview")
    assert preview.status == 0, preview.output
    assert "kube-builder-arm64-deployment" in preview.output
    assert stack.project.run("kubectl", "get", "namespace", namespace).status != 0, "a preview makes nothing"
    try:
        started = time.monotonic()
        stack.project.up()
        print(f"pulumi up of two nodes: {time.monotonic() - started:.1f} s")
        yield stack
    finally:
        destroyed = stack.project.pulumi("destroy", "--yes", "--skip-preview")
        stack.project.run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
        assert destroyed.status == 0, destroyed.output


def test_up_ends_with_ready_pods_on_their_architectures(running: Running) -> None:
    """When `pulumi up` returns, each node's pod is ready on a Kubernetes node of its architecture."""
    for architecture in ("amd64", "arm64"):
        app = f"builder-{architecture}"
        assert len(_pods(running.project, running.namespace, app)) == 1
        where = running.project.kubectl(
            "-n", running.namespace, "get", "pods", "-l", f"app={app}", "-o", "jsonpath={.items[*].spec.nodeName}"
        )
        label = running.project.kubectl("get", "node", where, "-o", r"jsonpath={.metadata.labels.kubernetes\.io/arch}")
        assert label == architecture


def test_a_second_preview_has_nothing_to_do(running: Running) -> None:
    """`--expect-no-changes` holds right after an update, with and without a look at the cluster."""
    for arguments in ([], ["--refresh"]):
        done = running.project.pulumi("preview", "--expect-no-changes", *arguments)
        assert done.status == 0, done.output


def test_output_and_config_map_tell_clients_the_same(running: Running) -> None:
    """The stack output and the ConfigMap are the same builder, found by name and label."""
    from_stack = BuilderOutput.from_json(running.project.output())
    stored = json.loads(
        running.project.kubectl("-n", running.namespace, "get", "configmap", "kube-builder", "-o", "json")
    )
    assert BuilderOutput.loads(stored["data"][CONFIG_MAP_KEY]) == from_stack
    assert from_stack.namespace == running.namespace
    assert from_stack.cluster.server.startswith("https://")
    assert [str(p) for node in from_stack.nodes for p in node.platforms] == ["linux/amd64", "linux/arm64"]


def test_changed_replicas_show_in_the_preview_and_roll(running: Running) -> None:
    """Only `spec.replicas` differs, the new pod joins, and the old one stays; then back."""
    before = set(_pods(running.project, running.namespace, "builder-amd64"))
    running.project.configure(**running.changed(0, replicas=2))
    try:
        preview = running.project.pulumi("preview", "--diff")
        assert preview.status == 0
        assert "~ replicas: 1 => 2" in preview.output, preview.output
        short = running.project.pulumi("preview").output
        assert "[diff: ~spec]" in short, short
        plan = running.project.run("pulumi", "preview", "--json", "--stack", "test", "--non-interactive").output
        assert '"spec.replicas"' in plan
        running.project.up()
        after = set(_pods(running.project, running.namespace, "builder-amd64"))
        assert len(after) == 2
        assert before < after
        assert BuilderOutput.from_json(running.project.output()).nodes[0].replicas == 2
    finally:
        running.restore()
    assert len(_pods(running.project, running.namespace, "builder-amd64")) == 1


def test_changed_resources_roll_the_pods(running: Running) -> None:
    """A change of the pod template replaces the pods, and the preview names the field."""
    before = set(_pods(running.project, running.namespace, "builder-arm64"))
    running.project.configure(**running.changed(1, **{"requests.memory": "64Mi", "labels": {"team": "a"}}))
    try:
        preview = running.project.pulumi("preview", "--diff")
        assert 'memory: "64Mi"' in preview.output
        running.project.up()
        after = set(_pods(running.project, running.namespace, "builder-arm64"))
        assert len(after) == 1
        assert not before & after
        assert running.project.pulumi("preview", "--expect-no-changes", "--refresh").status == 0
    finally:
        running.restore()


def test_docker_buildx_attaches_to_the_same_pods(running: Running) -> None:
    """`docker buildx create --node` finds the Deployments as they are and changes nothing."""
    buildx = subprocess.run(
        [sys.executable, "-m", "localcluster", "tools", "buildx"], cwd=ROOT, capture_output=True, text=True, timeout=600
    ).stdout.strip()
    project = running.project
    deployments = ["-n", running.namespace, "get", "deploy", "-o", "jsonpath={.items[*].metadata.uid}{.items[*].spec}"]
    before = project.kubectl(*deployments)
    for index, architecture in enumerate(("amd64", "arm64")):
        append = ["--append"] if index else []
        done = project.run(
            buildx, "create", *append, "--bootstrap", "--name", "kube", "--driver", "kubernetes",
            "--node", f"builder-{architecture}", "--platform", f"linux/{architecture}",
            "--driver-opt", f"namespace={running.namespace}",
        )  # fmt: skip
        assert done.status == 0, done.output
    listed = project.run(buildx, "ls").output
    for architecture in ("amd64", "arm64"):
        assert any(
            f"builder-{architecture}" in line and "running" in line and f"linux/{architecture}*" in line
            for line in listed.splitlines()
        ), listed
    assert project.kubectl(*deployments) == before


def test_a_node_taken_out_takes_its_pods_along(running: Running) -> None:
    """A node no longer in the config is deleted with all that it had; the other is untouched."""
    untouched = _pods(running.project, running.namespace, "builder-amd64")
    running.project.configure(**{**running.config, "nodes": running.config["nodes"][:1]})
    try:
        preview = running.project.pulumi("preview")
        assert "kube-builder-arm64-deployment" in preview.output
        assert "3 to delete" in preview.output, preview.output
        running.project.up()
        left = {name.rpartition("/")[2][:13] for name in running.project.objects(running.namespace, "deploy,rs,pods")}
        assert left == {"builder-amd64"}
        assert _pods(running.project, running.namespace, "builder-amd64") == untouched
    finally:
        running.restore()


def test_drift_is_found_and_repaired(running: Running) -> None:
    """`builders drift` ends with 0 without drift, 3 with it and names the field; one up repairs it."""
    project = running.project
    builders = str(ROOT / ".venv" / "bin" / "builders")
    assert project.run(builders, "drift", "--stack", "test").status == 0
    project.kubectl("-n", running.namespace, "set", "image", "deploy/builder-amd64", "buildkitd=moby/buildkit:latest")
    project.kubectl("-n", running.namespace, "delete", "configmap", "kube-builder")
    drift = project.run(builders, "drift", "--stack", "test")
    assert drift.status == 3, drift.output
    image = 'spec.template.spec.containers[buildkitd].image: "moby/buildkit:buildx-stable-1" -> "moby/buildkit:latest"'
    assert f"Deployment {running.namespace}/builder-amd64: {image} (by kubectl-set, since 2" in drift.output
    assert f"ConfigMap {running.namespace}/kube-builder: deleted\n" in drift.output
    done = project.run(builders, "up", "--yes", "--stack", "test")
    assert done.status == 0, done.output
    image = project.kubectl(
        "-n", running.namespace, "get", "deploy", "builder-amd64", "-o", "jsonpath={..containers[0].image}"
    )
    assert image == "moby/buildkit:buildx-stable-1"
    assert project.run(builders, "drift", "--stack", "test").status == 0


def test_a_client_account_may_build_and_nothing_else(running: Running) -> None:
    """The ServiceAccount for CI jobs has just the rights that a build needs."""
    running.project.configure(**running.config, clientServiceAccount="ci")
    account = f"--as=system:serviceaccount:{running.namespace}:ci"

    def may(*what: str) -> bool:
        return running.project.run("kubectl", "-n", running.namespace, "auth", "can-i", *what, account).status == 0

    try:
        running.project.up()
        allowed = [
            ("get", "configmap/kube-builder"), ("list", "pods"), ("watch", "pods"),
            ("create", "pods/exec"), ("get", "pods/exec"),
        ]  # fmt: skip
        assert all(may(verb, *rest[0].split("/exec")[:1], *(["--subresource=exec"] if "/exec" in rest[0] else []))
                   for verb, *rest in allowed)  # fmt: skip
        denied = [
            ("get", "configmap/other"),
            ("delete", "pods"),
            ("create", "pods"),
            ("get", "secrets"),
            ("list", "deploy"),
        ]
        assert not any(may(*what) for what in denied)
    finally:
        running.restore()


def test_destroy_leaves_nothing(cluster: dict[str, str], tmp_path: Path, namespace: str) -> None:
    """In a namespace that is not ours everything of ours goes and the namespace stays."""
    project = PulumiProject(tmp_path / "project", cluster)
    before = project.objects(namespace)
    project.configure(name="kube", namespace=namespace, clientServiceAccount="ci", **{"driver-opts": "replicas=2"})
    assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    project.up()
    assert len(_pods(project, namespace, "kube0")) == 2
    done = project.pulumi("destroy", "--yes", "--skip-preview")
    assert done.status == 0, done.output
    assert project.objects(namespace) == before
    assert project.run("kubectl", "get", "namespace", namespace).status == 0
