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
    """The node's last object, which has its pods."""
    child = manifests.node_objects(node)[-1]
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
    assert rules["pods"]["verbs"] == ["list", "watch"]
    assert rules["pods/exec"]["verbs"] == ["get", "create"]
    assert "configmaps" not in {rule["resources"][0] for rule in found[3]["rules"]}


def test_a_service_account_that_is_there_is_only_bound() -> None:
    """`namespace/name` makes no ServiceAccount, and binds that one."""
    found = [child.manifest for child in manifests.client_access(spec(clientServiceAccount="jobs/ci"))]
    assert [o["kind"] for o in found] == ["Role", "RoleBinding"]
    assert found[1]["subjects"] == [{"kind": "ServiceAccount", "name": "ci", "namespace": "jobs"}]


def test_each_right_is_bound_to_those_who_asked_for_it() -> None:
    """A client for one node has no rights on others; events and scale have Roles of their own, by workload's name."""
    own = {"subject": "a/ci", "nodes": "far", "scale": True}
    found = manifests.client_access(
        spec(
            clientServiceAccount="ci",
            clients=["group:all", own, {"subject": "buildkit/ci", "events": "true"}],
            nodes=[{"name": "near"}, {"name": "far", "namespace": "other"}],
        )
    )
    bound = {
        (one.manifest["metadata"]["namespace"], one.manifest["metadata"]["name"]): {
            subject["name"] + subject.get("namespace", "") for subject in one.manifest["subjects"]
        }
        for one in found
        if one.manifest["kind"] == "RoleBinding"
    }
    assert bound == {
        ("buildkit", "kube-client"): {"cibuildkit", "all"},
        ("buildkit", "kube-client-output"): {"cia"},
        ("buildkit", "kube-client-events"): {"cibuildkit"},
        ("other", "kube-client"): {"cibuildkit", "all", "cia"},
        ("other", "kube-client-events"): {"cibuildkit"},
        ("other", "kube-client-scale"): {"cia"},
    }
    (scale,) = [one.manifest["rules"] for one in found if one.role == "client-scale-role-other"]
    assert scale == [
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["far"], "verbs": ["get", "patch"]}
    ]
    assert len({one.role for one in found}) == len(found)


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


def test_a_namespace_lets_in_what_its_nodes_need() -> None:
    """The level of the most open node; none where no node is."""
    confined = {"rootless": True, "seccomp": "RuntimeDefault", "apparmor": "RuntimeDefault"}
    nodes = [
        {"name": "a", "namespace": "open", "driver-opts": confined},
        {"name": "b", "namespace": "open"},
        {"name": "c", "namespace": "closed", "driver-opts": confined},
    ]
    made = manifests.namespaces(spec(nodes=nodes, createNamespace=True))
    levels = {child.manifest["metadata"]["name"]: child.manifest["metadata"].get("labels") for child in made}
    enforce = "pod-security.kubernetes.io/enforce"
    assert levels == {"buildkit": None, "open": {enforce: "privileged"}, "closed": {enforce: "baseline"}}


def test_a_network_policy_lets_nothing_in_and_everything_out() -> None:
    """It holds for the node's own pods, whatever else is in the namespace."""
    (node,) = spec(**{"driver-opts": "network-policy=true"}).nodes
    (policy,) = [child.manifest for child in manifests.node_objects(node) if child.role == "networkpolicy"]
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"app": "kube0"}},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{}],
    }


def test_an_endpoint_always_asks_for_a_certificate() -> None:
    """BuildKit keeps its socket, and its port knows whose certificates to accept; the Service leads to that port."""
    for more, socket in (("", "/run/buildkit"), (",rootless=true", "/run/user/1000/buildkit")):
        (node,) = spec(**{"driver-opts": f"endpoint.secret=tls,endpoint.client-ca=ci,endpoint.port=8372{more}"}).nodes
        found = pod(f"endpoint.secret=tls,endpoint.client-ca=ci,endpoint.port=8372{more}")["spec"]
        flags = [word for word in found["containers"][0]["args"] if word.startswith(("--addr", "--tls"))]
        assert flags == [
            f"--addr=unix://{socket}/buildkitd.sock", "--addr=tcp://0.0.0.0:8372",
            "--tlscert=/etc/buildkit-endpoint/tls.crt", "--tlskey=/etc/buildkit-endpoint/tls.key",
            "--tlscacert=/etc/buildkit-endpoint/client-ca.crt",
        ]  # fmt: skip
        (volume,) = [one for one in found["volumes"] if one["name"] == "buildkitd-endpoint"]
        assert [source["secret"]["name"] for source in volume["projected"]["sources"]] == ["tls", "ci"]
        (service,) = [child.manifest for child in manifests.node_objects(node) if child.role == "service"]
        assert service["spec"]["ports"] == [{"name": "buildkit", "port": 8372, "protocol": "TCP"}]
        assert service["spec"]["selector"] == node.selector
        assert node.output().endpoint == "tcp://kube0.buildkit.svc:8372"


@pytest.mark.parametrize(
    ("address", "endpoint", "names"),
    [
        ("builds.example", "tcp://builds.example:1234", {"dnsNames": ["builds.example"]}),
        ("10.0.0.7:99", "tcp://10.0.0.7:99", {"ipAddresses": ["10.0.0.7"]}),
        ("fd00::7", "tcp://[fd00::7]:1234", {"ipAddresses": ["fd00::7"]}),
        ("[fd00::7]:99", "tcp://[fd00::7]:99", {"ipAddresses": ["fd00::7"]}),
    ],
)
def test_a_certificate_has_the_names_by_which_clients_come(address: str, endpoint: str, names: dict[str, Any]) -> None:
    """The Service's, and the address that clients are told; the pod has the Secret that cert-manager writes."""
    opts = {"endpoint.issuer": "ClusterIssuer/internal", "endpoint.address": address}
    (node,) = spec(**{"driver-opts": opts}).nodes
    (made,) = [child.manifest for child in manifests.node_objects(node) if child.role == "certificate"]
    own = ["kube0", *(f"kube0.buildkit{end}" for end in ("", ".svc", ".svc.cluster.local"))]
    assert made["spec"]["dnsNames"] == own + names.get("dnsNames", [])
    assert made["spec"].get("ipAddresses") == names.get("ipAddresses")
    assert made["spec"]["issuerRef"] == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "internal"}
    volumes = workload(node)["spec"]["template"]["spec"]["volumes"]
    (volume,) = [one for one in volumes if one["name"] == "buildkitd-endpoint"]
    sources = volume["projected"]["sources"]
    assert {source["secret"]["name"] for source in sources} == {made["spec"]["secretName"]} == {"kube0-endpoint"}
    assert node.output().endpoint == endpoint


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
