"""Manifests are pure functions of the spec: golden files, and properties that hold for any options."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders import manifests
from buildkit_builders.options.claim import STORAGE
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import IMAGE, ROOTLESS_IMAGE
from buildkit_builders.spec import BuilderSpec, NodeSpec, check_builder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildclient.contract.output import CONFIG_MAP_KEY, BuilderOutput, Cluster, config_map_name

GOLDEN = Path(__file__).parent / "golden"


def spec(**config: Any) -> BuilderSpec:
    """The spec of a config that has nothing wrong."""
    problems = Problems()
    found = check_builder({"name": "kube", "namespace": "buildkit", **config}, "default", problems)
    problems.raise_any()
    return found


def container(driver_opts: Any) -> dict[str, Any]:
    """BuildKit's container under these options."""
    found: dict[str, Any] = pod(driver_opts)["spec"]["containers"][0]
    return found


def pod(driver_opts: Any) -> dict[str, Any]:
    """The pod template under these options."""
    (node,) = spec(**{"driver-opts": driver_opts}).nodes
    found: dict[str, Any] = workload(node)["spec"]["template"]
    return found


def workload(node: NodeSpec) -> Any:
    """The node's only object."""
    (child,) = manifests.node_objects(node)
    return child.manifest


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "native": {
        "nodes": [
            {
                "name": "builder-amd64",
                "platforms": ["linux/amd64"],
                "driver-opts": 'nodeselector="kubernetes.io/arch=amd64"',
            },
            {
                "name": "builder-arm64",
                "platforms": ["linux/arm64"],
                "driver-opts": 'nodeselector="kubernetes.io/arch=arm64"',
            },
        ]
    },
    "rootless": {"driver-opts": "rootless=true,buildkit-root-volume-memory=6G"},
    "persistent": {
        "driver-opts": {
            "replicas": 2,
            "rootless": True,
            "persistent-volume-claim.requests.storage": "51200Mi",
            "persistent-volume-claim.storage-class": "fast-ssd",
            "persistent-volume-claim.access-mode": "readwriteoncepod",
            "persistent-volume-claim.when-scaled": "delete",
        },
    },
    "everything": {
        "clientServiceAccount": "ci",
        "driver-opts": {
            "image": "registry.example/buildkit:1",
            "replicas": 4,
            "requests.cpu": 0.5,
            "requests.memory": "1024Mi",
            "requests.ephemeral-storage": "2Gi",
            "limits.cpu": "2",
            "limits.memory": "4G",
            "limits.ephemeral-storage": "100G",
            "buildkit-root-volume-memory": "6G",
            "nodeselector": {"kubernetes.io/arch": "amd64", "disk": "ssd"},
            "annotations": {"team": "build"},
            "labels": {"team": "build"},
            "tolerations": "key=foo,value=bar;key=foo2,operator=exists;key=foo3,effect=NoSchedule",
            "serviceaccount": "buildkit",
            "schedulername": "batch",
            "timeout": "5m",
            "loadbalance": "random",
            "qemu.install": True,
            "qemu.image": "registry.example/binfmt:1",
        },
        "nodes": [{"name": "all", "platforms": "linux/amd64,linux/arm/v7"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_recorded(case: str) -> None:
    """Nothing in the objects of a config changes unnoticed (UPDATE_GOLDEN=1 records them anew)."""
    found = spec(**CASES[case])
    objects = [
        *(workload(node) for node in found.nodes),
        *(child.manifest for child in manifests.client_access(found)),
        manifests.output_config_map(found.output(Cluster("", "https://192.0.2.1:6443"))).manifest,
    ]
    text = json.dumps(objects, indent=1, sort_keys=True) + "\n"
    path = GOLDEN / f"{case}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_a_startup_probe_looks_every_second() -> None:
    """A pod is ready within a second of BuildKit, and is looked at seldom afterwards."""
    found = container("")
    assert found["startupProbe"]["periodSeconds"] == 1
    assert found["readinessProbe"]["exec"]["command"] == ["buildctl", "debug", "workers"]
    assert found["readinessProbe"]["periodSeconds"] >= 5


def test_rootless_pods_are_not_privileged() -> None:
    """Rootless mode drops `privileged`, opens what user namespaces need, and takes its image and path."""
    found = container("rootless=true")
    assert found["image"] == ROOTLESS_IMAGE
    assert "privileged" not in found["securityContext"]
    assert found["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    assert "--oci-worker-no-process-sandbox" in found["args"]
    assert found["volumeMounts"][0]["mountPath"].startswith("/home/user/")


def test_the_state_is_always_a_volume() -> None:
    """BuildKit's state is on an emptyDir, in memory only if that is asked for, so that overlayfs works."""
    assert pod("")["spec"]["volumes"] == [{"name": "state", "emptyDir": {}}]
    in_memory = {"medium": "Memory", "sizeLimit": "6G"}
    assert pod("buildkit-root-volume-memory=6000M")["spec"]["volumes"] == [{"name": "state", "emptyDir": in_memory}]
    assert container("")["volumeMounts"] == [{"name": "state", "mountPath": "/var/lib/buildkit"}]


def test_emulators_are_installed_before_buildkit_starts() -> None:
    """qemu.install adds one privileged init container with the interface of the binfmt image."""
    (found,) = pod("qemu.install=true")["spec"]["initContainers"]
    assert found["args"] == ["--install", "all"]
    assert found["securityContext"] == {"privileged": True}
    assert "initContainers" not in pod("")["spec"]


def test_user_labels_stay_out_of_the_selector() -> None:
    """The immutable selector is the workload's name alone; labels are on workload and pods."""
    (node,) = spec(**{"driver-opts": "labels=team=build"}).nodes
    found = workload(node)
    assert found["spec"]["selector"] == {"matchLabels": {"app": "kube0"}}
    assert found["metadata"]["labels"] == {"team": "build", "app": "kube0"}
    assert found["spec"]["template"]["metadata"]["labels"] == {"team": "build", "app": "kube0"}


def test_the_old_apparmor_annotation_is_dropped_from_rootless_pods() -> None:
    """Beside the profile field, which rootless mode sets, the apiserver would refuse it."""
    old = "annotations=container.apparmor.security.beta.kubernetes.io/buildkitd=unconfined"
    assert "annotations" not in pod(old + ",rootless=true")["metadata"]
    assert pod(old)["metadata"]["annotations"]


def test_clients_may_build_and_nothing_else() -> None:
    """The role reads one ConfigMap, sees pods and execs into them; in other namespaces without the ConfigMap."""
    children = manifests.client_access(spec(clientServiceAccount="ci", nodes=[{}, {"namespace": "other"}]))
    found = [child.manifest for child in children]
    assert [(o["kind"], o["metadata"]["namespace"]) for o in found] == [
        ("ServiceAccount", "buildkit"), ("Role", "buildkit"), ("RoleBinding", "buildkit"),
        ("Role", "other"), ("RoleBinding", "other"),
    ]  # fmt: skip
    rules = {rule["resources"][0]: rule for rule in found[1]["rules"]}
    assert rules["configmaps"]["resourceNames"] == [config_map_name("kube")]
    assert rules["pods"]["verbs"] == ["get", "list", "watch"]
    assert rules["pods/exec"]["verbs"] == ["get", "create"]
    assert "configmaps" not in {rule["resources"][0] for rule in found[3]["rules"]}


def test_a_service_account_that_is_there_is_only_bound() -> None:
    """`namespace/name` makes no ServiceAccount, and binds that one."""
    found = [child.manifest for child in manifests.client_access(spec(clientServiceAccount="jobs/ci"))]
    assert [o["kind"] for o in found] == ["Role", "RoleBinding"]
    assert found[1]["subjects"] == [{"kind": "ServiceAccount", "name": "ci", "namespace": "jobs"}]


def test_the_kind_of_workload_is_the_specs() -> None:
    """Output, child's name and manifest follow the spec's kind; one that is not made here is refused."""
    (node,) = spec(**{"driver-opts": "timeout=90s"}).nodes
    (child,) = manifests.node_objects(node)
    assert (child.role, child.manifest["kind"], child.ready_within) == ("deployment", "Deployment", 90)
    (other,) = spec(**{"driver-opts": "persistent-volume-claim.requests.storage=1Gi,timeout=90s"}).nodes
    (child,) = manifests.node_objects(other)
    assert (child.role, child.manifest["kind"], child.ready_within) == ("statefulset", "StatefulSet", 90)
    assert other.output().workload == ("StatefulSet", "kube0")


@pytest.mark.parametrize("options", ["", ",rootless=true"])
def test_a_persistent_state_is_a_claim_mounted_where_buildkit_keeps_it(options: str) -> None:
    """The pod mounts the set's claim instead of an emptyDir, at the same path; nothing else of the pod changes."""
    (node,) = spec(**{"driver-opts": f"persistent-volume-claim.requests.storage=1Gi{options}"}).nodes
    (claim,) = workload(node)["spec"]["volumeClaimTemplates"]
    (mount,) = container(f"persistent-volume-claim.requests.storage=1Gi{options}")["volumeMounts"]
    (without,) = container(f"replicas=1{options}")["volumeMounts"]
    assert mount == {**without, "name": claim["metadata"]["name"]}
    # root's state cannot be read by rootless BuildKit
    assert claim["metadata"]["name"] == ("buildkitd-rootless" if options else "buildkitd")
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    persistent, ephemeral = (pod(f"{more}{options}")["spec"] for more in (f"{STORAGE}=1Gi", "replicas=1"))
    assert "volumes" not in persistent
    # rootless BuildKit must own the volume
    assert persistent.get("securityContext", {}).get("fsGroup") == (1000 if options else None)
    assert persistent.keys() - {"securityContext"} == ephemeral.keys() - {"volumes"}


def test_the_stack_makes_namespaces_only_if_asked_to() -> None:
    """The builder's own namespace first, each other under its name."""
    nodes = [{}, {"namespace": "other"}, {"namespace": "other"}]
    assert manifests.namespaces(spec(nodes=nodes)) == ()
    made = manifests.namespaces(spec(nodes=nodes, createNamespace=True))
    assert [(child.role, child.manifest["metadata"]["name"]) for child in made] == [
        ("namespace", "buildkit"),
        ("namespace-other", "other"),
    ]


_opts = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 50),
        "requests.cpu": st.integers(1, 5000).map("{}m".format),
        "limits.memory": st.integers(1, 64).map("{}Gi".format),
        "rootless": st.booleans(),
        "qemu.install": st.booleans(),
        "labels": st.dictionaries(
            st.from_regex(r"[a-z]{2,8}", fullmatch=True).filter(lambda k: k != "app"), st.just("x")
        ),
        "nodeselector": st.dictionaries(st.from_regex(r"[a-z]{1,8}/[a-z]{1,8}", fullmatch=True), st.just("y")),
        "buildkit-root-volume-memory": st.just("1Gi"),
        "timeout": st.integers(1, 900).map("{}s".format),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_opts, st.lists(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7"]), unique=True))
def test_any_options_make_a_deployment_that_finds_its_own_pods(opts: dict[str, Any], platforms: list[str]) -> None:
    """The selector matches the template, mounts name volumes, nothing is None, and nothing given is shared."""
    found = spec(nodes=[{"driver-opts": opts, "platforms": platforms}])
    (node,) = found.nodes
    made = workload(node)
    template = made["spec"]["template"]
    assert made["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    for one in template["spec"]["containers"]:
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes
    assert "null" not in json.dumps(made)
    assert made == workload(node)
    config_map = manifests.output_config_map(found.output(Cluster()))
    assert BuilderOutput.loads(config_map.manifest["data"][CONFIG_MAP_KEY]) == found.output(Cluster())


def test_the_default_image_is_buildx_own() -> None:
    """Without options the pods run what docker buildx would run."""
    assert container("")["image"] == IMAGE
