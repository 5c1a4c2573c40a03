"""What the local cluster's registry holds works on its nodes: by public names, per architecture, emulated, rootless."""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest

from tests.conftest import kubectl

pytestmark = pytest.mark.cluster

BUILDKIT = "moby/buildkit:buildx-stable-1"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "s390x": "s390x"}


def run_pod(cluster: dict[str, str], namespace: str, name: str, spec: dict[str, object], wait: str) -> None:
    """Creates a pod and waits for a condition of it (as `kubectl wait --for` takes it)."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"restartPolicy": "Never", **spec}}
    subprocess.run(
        ["kubectl", "-n", namespace, "apply", "-f", "-"],
        input=json.dumps(pod), env=cluster, text=True, check=True, timeout=60, capture_output=True,
    )  # fmt: skip
    kubectl(cluster, "-n", namespace, "wait", f"pod/{name}", f"--for={wait}", "--timeout=150s", timeout=160)


def on_node(architecture: str) -> dict[str, object]:
    """The selector that the seed uses."""
    return {"nodeSelector": {"kubernetes.io/arch": architecture}}


def build(cluster: dict[str, str], namespace: str, pod: str, platform: str, dockerfile: str) -> str:
    """Builds a Dockerfile inside a BuildKit pod, without a client of ours; gives the progress."""
    script = (
        f"mkdir -p /tmp/c && cat > /tmp/c/Dockerfile && buildctl build --progress plain --no-cache "
        f"--frontend dockerfile.v0 --local context=/tmp/c --local dockerfile=/tmp/c --opt platform={platform} 2>&1"
    )
    done = subprocess.run(
        ["kubectl", "-n", namespace, "exec", "-i", pod, "-c", "buildkitd", "--", "sh", "-c", script],
        input=dockerfile, env=cluster, text=True, timeout=100, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def buildkit_container(image: str = BUILDKIT) -> dict[str, object]:
    """A BuildKit container as the reference's driver makes it."""
    ready = {"exec": {"command": ["buildctl", "debug", "workers"]}, "periodSeconds": 1, "failureThreshold": 40}
    return {
        "name": "buildkitd",
        "image": image,
        "securityContext": {"privileged": True},
        "startupProbe": ready,
        "readinessProbe": ready,
    }


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("prefixed", [False, True], ids=["public name", "registry's address"])
def test_buildkit_reports_its_nodes_architecture_first(
    cluster: dict[str, str], namespace: str, architecture: str, prefixed: bool
) -> None:
    """The reference's default image, named as there or by the registry's address, is the node's own flavour."""
    image = f"{cluster['REGISTRY']}/{BUILDKIT}" if prefixed else BUILDKIT
    spec = {**on_node(architecture), "containers": [buildkit_container(image)]}
    run_pod(cluster, namespace, "bk", spec, "condition=Ready")
    workers = kubectl(cluster, "-n", namespace, "exec", "bk", "--", "buildctl", "debug", "workers")
    platforms = workers.splitlines()[1].split()[1].split(",")
    assert platforms[0] == f"linux/{architecture}"
    output = build(
        cluster, namespace, "bk", f"linux/{architecture}", "FROM busybox\nRUN echo it is $(uname -m) as $0\n"
    )
    assert f"it is {MACHINES[architecture]} as /bin/sh" in output


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("image", ["busybox", "BASE_IMAGE"])
def test_the_base_image_runs_as_its_nodes_architecture(
    cluster: dict[str, str], namespace: str, architecture: str, image: str
) -> None:
    """A plain pod of it executes that architecture's programs, and its log is read through the apiserver."""
    container = {"name": "c", "image": cluster.get(image, image), "command": ["sh", "-c", "uname -m; id -u; ls /tmp"]}
    spec = {**on_node(architecture), "containers": [container]}
    run_pod(cluster, namespace, "one", spec, "jsonpath={.status.phase}=Succeeded")
    assert kubectl(cluster, "-n", namespace, "logs", "one").split() == [MACHINES[architecture], "0"]


def test_the_installer_makes_a_third_architecture_executable(cluster: dict[str, str], namespace: str) -> None:
    """`tonistiigi/binfmt:latest --install all` as init container, and the daemon beside it builds for s390x."""

    def installer(name: str, *arguments: str) -> dict[str, object]:
        return {
            "name": name,
            "image": "tonistiigi/binfmt:latest",
            "args": list(arguments),
            "securityContext": {"privileged": True},
        }

    inits = [installer("without", "--uninstall", "s390x"), installer("qemu", "--install", "all")]
    spec = {**on_node("amd64"), "initContainers": inits, "containers": [buildkit_container()]}
    run_pod(cluster, namespace, "bk", spec, "condition=Ready")
    logs = [kubectl(cluster, "-n", namespace, "logs", "bk", "-c", name) for name in ("without", "qemu")]
    # Beside the JSON the installer says what it did.
    before, after = (json.JSONDecoder().raw_decode(log, log.index("{"))[0] for log in logs)
    assert "linux/s390x" not in before["supported"]
    assert "linux/s390x" in after["supported"]
    assert "qemu-s390x" in after["emulators"]
    workers = kubectl(cluster, "-n", namespace, "exec", "bk", "-c", "buildkitd", "--", "buildctl", "debug", "workers")
    assert "linux/s390x" in workers
    output = build(cluster, namespace, "bk", "linux/s390x", "FROM busybox\nRUN echo it is $(uname -m)\n")
    assert "it is s390x" in output


def test_buildkit_runs_rootless_where_the_machine_allows_it(cluster: dict[str, str], namespace: str) -> None:
    """As user 1000, unprivileged, it builds a step that runs programs and changes owners."""
    if cluster["ROOTLESS"] != "1":
        pytest.skip("this machine does not allow it: `python -m localcluster status` says which check said no")
    container = {
        **buildkit_container(f"{BUILDKIT}-rootless"),
        "args": ["--oci-worker-no-process-sandbox"],
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
        "volumeMounts": [{"name": "state", "mountPath": "/home/user/.local/share/buildkit"}],
    }
    spec = {**on_node("amd64"), "volumes": [{"name": "state", "emptyDir": {}}], "containers": [container]}
    run_pod(cluster, namespace, "bk", spec, "condition=Ready")
    assert kubectl(cluster, "-n", namespace, "exec", "bk", "--", "id", "-u").strip() == "1000"
    step = "touch /x && chown 12:13 /x && echo owner $(stat -c %u:%g /x) $(cat /proc/self/uid_map)"
    output = build(cluster, namespace, "bk", "linux/amd64", f"FROM busybox\nRUN {step}\n")
    assert "owner 12:13 0 1000 1 1 100000 65536" in output


def test_the_registrys_index_holds_every_base_architecture(cluster: dict[str, str]) -> None:
    """The host reads the base image's index: amd64, arm64 and one that only emulation can run."""
    repository, tag = cluster["BASE_IMAGE"].removeprefix(cluster["REGISTRY"] + "/").split(":")
    request = urllib.request.Request(
        f"http://{cluster['REGISTRY']}/v2/{repository}/manifests/{tag}",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        entries = json.load(response)["manifests"]
    assert {entry["platform"]["architecture"] for entry in entries} == set(MACHINES)
