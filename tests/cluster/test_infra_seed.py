"""The examples of docker buildx's Kubernetes driver page, done with stacks: each one's counterpart really runs."""

from __future__ import annotations

import json
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.infra_project import ROOT, Done, PulumiProject
from tests.conftest import kubectl

BIN = ROOT / ".venv" / "bin"
ACCEPT = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"

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


def _client(project: PulumiProject, *arguments: str) -> Done:
    """Run `buildclient` as a user of the project does. Fails the test if it does."""
    done = project.run(str(BIN / "buildclient"), *arguments)
    assert done.status == 0, done.output
    return done


def _build(project: PulumiProject, *arguments: str, tag: str = "", dockerfile: str = "") -> str:
    """Build a Dockerfile, or examples/hello, on builder `kube`, and push it if there is a tag; the progress."""
    context = ROOT / "examples" / "hello"
    if dockerfile:
        context = project.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile)
    base = f"BASE_IMAGE={project.environment['BASE_IMAGE']}"
    push = ("-t", tag, "--push") if tag else ("-o", "type=cacheonly")
    return _client(
        project, "build", "--builder=kube", "--progress=plain", "--build-arg", base, *push, *arguments, str(context)
    ).output


def _platforms(tag: str) -> set[str]:
    """The platforms of the images under a tag."""
    host, _, rest = tag.partition("/")
    repository, _, reference = rest.rpartition(":")
    url = f"http://{host}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT}), timeout=20) as answer:
        index = json.load(answer)
    found = {f"{one['platform']['os']}/{one['platform']['architecture']}" for one in index["manifests"]}
    return found - {"unknown/unknown"}


def _builders(project: PulumiProject, namespace: str) -> set[str]:
    """The pods that have built something."""
    names = [pod["metadata"]["name"] for pod in _pods(project, namespace)]
    histories = {
        name: project.kubectl("-n", namespace, "exec", name, "--", "buildctl", "debug", "histories") for name in names
    }
    return {name for name, text in histories.items() if len(text.splitlines()) > 1}


@pytest.fixture
def tag(cluster: dict[str, str]) -> str:
    """A name in the registry that nothing has yet."""
    return f"{cluster['REGISTRY']}/seed/{uuid.uuid4().hex[:8]}:1"


def test_the_guide_from_create_namespace_to_a_pushed_image(
    cluster: dict[str, str], tmp_path: Path, namespace: str, tag: str
) -> None:
    """The page's guide in its order: namespace, builder, list, kubectl, build and push; then away with it."""
    project = PulumiProject(tmp_path / "project", cluster)
    before = project.objects(namespace)
    project.configure(name="kube", **{"driver-opts": f"namespace={namespace}"})
    up = project.run(str(BIN / "builders"), "up", "--stack", "test", "--yes")
    assert up.status == 0, up.output
    try:
        head, kube, node = _client(project, "ls").output.splitlines()
        assert head.split()[:3] == ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS"]
        assert kube.split() == ["kube", "kubernetes"]
        assert "kube0" in node
        assert "running" in node
        assert "linux/amd64" in node or "linux/arm64" in node
        listed = project.kubectl("-n", namespace, "get", "deployments", "--no-headers").split()
        assert listed[:4] == ["kube0", "1/1", "1", "1"]
        (pod,) = project.kubectl("-n", namespace, "get", "pods", "--no-headers").splitlines()
        assert pod.startswith("kube0-")
        assert pod.split()[1:3] == ["1/1", "Running"]
        assert "building for linux/" in _build(project, tag=tag)
        assert len(_platforms(tag)) == 1
    finally:
        down = project.run(str(BIN / "builders"), "destroy", "--stack", "test", "--yes")
    assert down.status == 0, down.output
    assert project.objects(namespace) == before


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


def test_load_balancing_is_sticky_or_random(project: PulumiProject, namespace: str) -> None:
    """The same build comes to the same one of four pods, with `loadbalance=random` to several; no pod restarts."""
    text = f"namespace={namespace},replicas=4"
    project.configure(name="kube", **{"driver-opts": text})
    project.up()
    pods = {pod["metadata"]["name"] for pod in _pods(project, namespace)}
    scratch = "FROM scratch\nCOPY Dockerfile /\n"
    for _ in range(4):
        _build(project, dockerfile=scratch)
    assert len(_builders(project, namespace)) == 1
    project.configure(name="kube", **{"driver-opts": f"{text},loadbalance=random"})
    project.up()
    # that all ten come to the pod from before has a chance of one in a million
    for _ in range(10):
        _build(project, dockerfile=scratch)
    assert len(_builders(project, namespace)) > 1
    assert {pod["metadata"]["name"] for pod in _pods(project, namespace)} == pods


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


@pytest.fixture
def kept_node(cluster: dict[str, str]) -> Iterator[str]:
    """The arm64 node with the labels of the page's example, and tainted; as it was afterwards."""
    kubectl(cluster, "label", "node", "arm64", "label1=value1", "label2=value2", "--overwrite")
    try:
        kubectl(cluster, "taint", "node", "arm64", "key1=value1:NoSchedule", "--overwrite")
        yield "arm64"
    finally:
        subprocess.run(["kubectl", "taint", "node", "arm64", "key1-"], env=cluster, timeout=60, check=False)
        kubectl(cluster, "label", "node", "arm64", "label1-", "label2-")


def test_a_taint_keeps_off_pods_that_do_not_tolerate_it(project: PulumiProject, namespace: str, kept_node: str) -> None:
    """Without the toleration the update fails by its timeout, in a message; with the page's own text the pod runs."""
    selector = '"nodeselector=label1=value1,label2=value2"'
    project.configure(name="kube", namespace=namespace, **{"driver-opts": f"timeout=4s,{selector}"})
    failed = project.pulumi("up", "--yes", "--skip-preview")
    assert failed.status != 0
    assert "kube0" in failed.output
    assert "Traceback" not in failed.output
    text = f'{selector},"tolerations=key=key1,value=value1"'
    project.configure(name="kube", namespace=namespace, **{"driver-opts": text})
    project.up()
    (pod,) = _pods(project, namespace)
    assert pod["spec"]["nodeName"] == kept_node


def test_labels_annotations_account_and_scheduler_are_the_pods(project: PulumiProject, namespace: str) -> None:
    """Labels and annotations are on Deployment and pods; ServiceAccount and scheduler are the pods'."""
    project.kubectl("-n", namespace, "create", "serviceaccount", "builds")
    text = '"labels=team=a,tier=b",annotations=note=c,serviceaccount=builds,schedulername=default-scheduler'
    project.configure(name="kube", namespace=namespace, **{"driver-opts": text})
    project.up()
    deployment = json.loads(project.kubectl("-n", namespace, "get", "deployment", "kube0", "-o", "json"))
    (pod,) = _pods(project, namespace)
    for one in (deployment, pod):
        assert {"team": "a", "tier": "b", "app": "kube0"}.items() <= one["metadata"]["labels"].items()
        assert one["metadata"]["annotations"]["note"] == "c"
    assert (pod["spec"]["serviceAccountName"], pod["spec"]["schedulerName"]) == ("builds", "default-scheduler")


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


def test_one_node_builds_for_other_platforms_by_emulation(project: PulumiProject, namespace: str, tag: str) -> None:
    """A single amd64 node with `qemu.install=true` builds and pushes an image of three architectures."""
    text = f"namespace={namespace},qemu.install=true,nodeselector=kubernetes.io/arch=amd64"
    project.configure(name="kube", **{"driver-opts": text})
    project.up()
    progress = _build(project, "--platform=linux/amd64,linux/arm64,linux/s390x", tag=tag)
    for machine in ("x86_64", "aarch64", "s390x"):
        assert f" on {machine}\n" in progress
    assert _platforms(tag) == {"linux/amd64", "linux/arm64", "linux/s390x"}


def test_a_second_architecture_is_appended_natively(project: PulumiProject, namespace: str, tag: str) -> None:
    """`create`, then `create --append`: one more node in the config; both are listed, and each builds its own."""
    nodes = [
        {
            "name": f"builder-{architecture}",
            "platforms": [f"linux/{architecture}"],
            "driver-opts": f'namespace={namespace},nodeselector="kubernetes.io/arch={architecture}"',
        }
        for architecture in ("amd64", "arm64")
    ]
    project.configure(name="kube", nodes=nodes[:1])
    project.up()
    (first,) = _pods(project, namespace)
    project.configure(name="kube", nodes=nodes)
    preview = project.pulumi("preview")
    assert "3 to create" in preview.output, preview.output
    project.up()
    assert first["metadata"]["name"] in {pod["metadata"]["name"] for pod in _pods(project, namespace)}
    listed = _client(project, "ls").output.splitlines()
    for architecture, line in zip(("amd64", "arm64"), listed[2:], strict=True):
        assert f"?deployment=builder-{architecture} " in line
        assert "running" in line
        assert f"linux/{architecture}*" in line
    progress = _build(project, "--platform=linux/amd64,linux/arm64", tag=tag)
    assert "[builder-amd64 linux/amd64 build" in progress
    assert "[builder-arm64 linux/arm64 build" in progress
    assert _platforms(tag) == {"linux/amd64", "linux/arm64"}


def test_rootless_pods_build_without_privilege(project: PulumiProject, namespace: str, tag: str) -> None:
    """`rootless=true`: no container is privileged, BuildKit runs as an ordinary user, and builds."""
    if project.environment["ROOTLESS"] != "1":
        pytest.skip("rootless BuildKit cannot run on this machine: python -m localcluster status says why")
    text = f"namespace={namespace},rootless=true,nodeselector=kubernetes.io/arch=amd64"
    project.configure(name="kube", **{"driver-opts": text})
    project.up()
    (pod,) = _pods(project, namespace)
    assert not any("privileged" in one.get("securityContext", {}) for one in pod["spec"]["containers"])
    assert project.kubectl("-n", namespace, "exec", "deploy/kube0", "--", "id", "-u").strip() != "0"
    assert "building for linux/amd64 on x86_64" in _build(project, tag=tag)
