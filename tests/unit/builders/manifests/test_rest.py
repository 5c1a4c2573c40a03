"""The CronJob that brings a node to no pods, and the rights that go with it."""

from __future__ import annotations

from typing import Any

import pytest
from buildkit_builders.manifests import client_access, companions, node_objects
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import BuilderSpec, check_builder

from buildclient.contract.output import BuilderOutput

_OPTIONS = {"scale-to-zero.after": "30m", "scale-to-zero.image": "registry.example/buildclient:1"}


def _builder(**raw: Any) -> BuilderSpec:
    problems = Problems()
    spec = check_builder({"name": "kube", "namespace": "n", **raw}, "default", problems)
    problems.raise_any()
    return spec


def _made(name: str, **options: Any) -> dict[str, Any]:
    (node,) = _builder(nodes=[{"name": name, "driver-opts": {**_OPTIONS, **options}}]).nodes
    return {child.manifest["kind"]: child.manifest for child in companions(node)}


def test_the_job_finds_its_node_by_a_file() -> None:
    """The annotation is a builder output of this one node, which the client reads; the workload says no replicas."""
    spec = _builder(nodes=[{"name": "b", "driver-opts": {**_OPTIONS, "replicas": 3}}])
    made = _made("b", replicas=3, imagepullsecrets="login")
    template = made["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    (text,) = template["metadata"]["annotations"].values()
    assert BuilderOutput.loads(text).nodes == (spec.nodes[0].output(),)
    container = template["spec"]["containers"][0]
    assert container["args"] == ["stop", "--if-idle", "1800s", "--builder-file", "/etc/buildclient/builder.json"]
    assert template["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert "app" not in template["metadata"].get("labels", {}), "no pod of the builder's own"
    assert "replicas" not in node_objects(spec.nodes[0])[-1].manifest["spec"]


def test_the_jobs_account_may_scale_one_workload() -> None:
    """Pods cannot be named; the workload is."""
    rules = _made("b", **{"persistent-volume-claim.requests.storage": "1Gi"})["Role"]["rules"]
    assert [(rule["resources"], rule.get("resourceNames"), rule["verbs"]) for rule in rules] == [
        (["pods"], None, ["list"]),
        (["pods/exec"], None, ["get", "create"]),
        (["statefulsets/scale"], ["b"], ["get", "patch"]),
    ]


@pytest.mark.parametrize("name", ["a" * 44, "a" * 45, "a" * 63, "a-" * 31 + "a", "b.c" * 21])
def test_a_long_name_is_shortened_and_stays_its_own(name: str) -> None:
    """A CronJob's name has 52 characters at most, and those of two nodes differ."""
    named = _made(name)["CronJob"]["metadata"]["name"]
    other = _made(name[:-1] + "z")["CronJob"]["metadata"]["name"]
    assert len(named) <= 52
    assert named != other
    assert _made(name)["RoleBinding"]["subjects"][0]["name"] == named


def test_clients_may_start_nodes_that_go_to_zero() -> None:
    """Those workloads alone, whoever may build; whoever may scale all has no second Role."""
    nodes = [{"name": "a", "driver-opts": _OPTIONS}, {"name": "b"}]
    clients = ["user:x", {"subject": "user:y", "scale": True}]
    made = {one.role: one.manifest for one in client_access(_builder(nodes=nodes, clients=clients))}
    (rule,) = made["client-wake-role"]["rules"]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (["deployments/scale"], ["a"], ["get", "patch"])
    assert [one["name"] for one in made["client-wake-rolebinding"]["subjects"]] == ["x"]
    assert not [role for role in (one.role for one in client_access(_builder(clients=clients))) if "wake" in role]
