"""The components as the engine sees them: types, names, parents, providers, order, and refusal before any of it."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from buildkit_builders import Builder, BuilderNode, manifests
from buildkit_builders.config import has_secret_options
from buildkit_builders.errors import ConfigError
from buildkit_builders.spec import NodeSpec
from pulumi.runtime.config import set_all_config

from buildclient.contract.cluster import Cluster
from buildclient.contract.output import CONFIG_MAP_KEY, BuilderOutput
from tests.preview.mocked import KUBECONFIG, Registered, run

ROOT = Path(__file__).resolve().parents[2]
NATIVE: Any = [
    {"name": "builder-amd64", "platforms": ["linux/amd64"], "driver-opts": {"replicas": 2, "timeout": "90s"}},
    {"name": "builder-arm64", "platforms": ["linux/arm64"]},
]


def builder(name: str = "kube", opts: pulumi.ResourceOptions | None = None, **args: Any) -> Callable[[], Builder]:
    """A program with one builder."""
    return lambda: Builder(name, {"kubeconfig": KUBECONFIG, **args}, opts)  # type: ignore[typeddict-item]


def by_name(registered: list[Registered]) -> dict[str, Registered]:
    """What was registered, by name."""
    return {one.name: one for one in registered}


def _tail(urn: str) -> str:
    return urn.rpartition("::")[2]


@pytest.mark.parametrize("preview", [True, False])
def test_types_names_and_parents_are_those_of_the_state(preview: bool) -> None:
    """These become state: a change here needs an alias."""
    registered, _ = run(builder(nodes=NATIVE, createNamespace=True, clientServiceAccount="ci"), preview=preview)
    assert {(one.type, one.name, _tail(one.parent)) for one in registered} == {
        ("builder:index:Builder", "kube", "builder-test"),
        ("pulumi:providers:kubernetes", "kube-kubernetes", "kube"),
        ("kubernetes:core/v1:Namespace", "kube-namespace", "kube"),
        ("builder:index:BuilderNode", "kube-builder-amd64", "kube"),
        ("builder:index:BuilderNode", "kube-builder-arm64", "kube"),
        ("kubernetes:apps/v1:Deployment", "kube-builder-amd64-deployment", "kube-builder-amd64"),
        ("kubernetes:apps/v1:Deployment", "kube-builder-arm64-deployment", "kube-builder-arm64"),
        ("kubernetes:core/v1:ConfigMap", "kube-output", "kube"),
        ("kubernetes:policy/v1:PodDisruptionBudget", "kube-builder-amd64-disruption-budget", "kube-builder-amd64"),
        ("kubernetes:policy/v1:PodDisruptionBudget", "kube-builder-arm64-disruption-budget", "kube-builder-arm64"),
        ("kubernetes:core/v1:ServiceAccount", "kube-client-serviceaccount", "kube"),
        ("kubernetes:rbac.authorization.k8s.io/v1:Role", "kube-client-role", "kube"),
        ("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "kube-client-rolebinding", "kube"),
    }


def test_every_object_goes_through_the_builders_provider() -> None:
    """No object falls back to Pulumi's default provider, whatever its parent."""
    registered, _ = run(builder(nodes=NATIVE, createNamespace=True))
    objects = [one for one in registered if one.type.startswith("kubernetes:")]
    assert len(objects) == 6
    assert all("::kube-kubernetes::" in one.provider for one in objects)


def test_the_provider_keeps_a_kubeconfig_secret_and_the_cluster_fixed() -> None:
    """Contents of a kubeconfig are a secret; the server, not the credentials, says which cluster it is."""
    registered, _ = run(builder())
    inputs = by_name(registered)["kube-kubernetes"].inputs
    assert inputs["clusterIdentifier"] == "https://192.0.2.1:6443"
    assert inputs["kubeconfig"]["value"] == KUBECONFIG, "wrapped as a secret"
    named, _ = run(builder(context="team"))
    assert by_name(named)["kube-kubernetes"].inputs["clusterIdentifier"] == "team"


def test_options_that_hold_secrets_are_secrets_in_the_state() -> None:
    """Of a stack whose config keeps options secret: pod template, annotations, BuildKit's configuration; no more."""

    def program(secret: bool | None) -> Callable[[], Builder]:
        def run_it() -> Builder:
            set_all_config({"builder:driver-opts": "{}"}, ["builder:driver-opts"] if secret else [])
            options: Any = {"env": {"TOKEN": "x"}, "annotations": "a=b", "buildkitd.log-level": "debug"}
            args: Any = {"kubeconfig": KUBECONFIG, "driver-opts": options}
            return Builder("kube", args, secret=has_secret_options())

        return run_it

    hidden, plain = (by_name(run(program(secret))[0]) for secret in (True, False))
    deployment = hidden["kube-kube0-deployment"].inputs
    assert deployment["spec"]["template"]["value"] == plain["kube-kube0-deployment"].inputs["spec"]["template"]
    assert deployment["metadata"]["annotations"]["value"] == {"a": "b"}
    assert deployment["spec"]["replicas"] == 1
    assert hidden["kube-kube0-buildkitd-config"].inputs["data"]["value"].keys() == {"buildkitd.toml"}
    assert hidden["kube-output"].inputs == plain["kube-output"].inputs


def test_a_message_does_not_repeat_what_is_secret() -> None:
    """Of a value that is refused the option's name is told, and what is allowed."""
    args: Any = {"kubeconfig": KUBECONFIG, "driver-opts": {"env.TOKEN": ["hunter2"], "requests.cpu": "hunter2"}}
    with pytest.raises(ConfigError) as caught:
        run(lambda: Builder("kube", args, where="builder:", secret=True))
    assert "builder:driver-opts.env.TOKEN: [secret] is refused: give a string" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_variable_kubeconfig_stays_out_of_the_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path that differs from machine to machine would be a change on each."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    registered, _ = run(lambda: Builder("kube", {}))
    assert "kubeconfig" not in by_name(registered)["kube-kubernetes"].inputs


def test_a_callers_provider_is_used() -> None:
    """With a provider in the options none is made."""

    def program() -> None:
        mine = pulumi.ProviderResource("kubernetes", "mine", {})
        Builder("kube", {"kubeconfig": KUBECONFIG}, pulumi.ResourceOptions(providers=[mine]))

    registered, _ = run(program)
    names = by_name(registered)
    assert "kube-kubernetes" not in names
    assert "::mine::" in names["kube-kube0-deployment"].provider


def test_of_a_callers_provider_no_cluster_is_guessed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The current context may be another cluster: the output names one only if the args do."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))

    def cluster(**args: Any) -> Any:
        def program() -> None:
            mine = pulumi.ProviderResource("kubernetes", "mine", {})
            Builder("kube", args, pulumi.ResourceOptions(provider=mine))  # type: ignore[arg-type]

        registered, _ = run(program)
        return BuilderOutput.loads(by_name(registered)["kube-output"].inputs["data"][CONFIG_MAP_KEY]).cluster

    assert cluster() == Cluster()
    assert cluster(context="team") == Cluster("team", "https://192.0.2.1:6443")


def test_pods_come_after_the_namespace_and_the_output_after_the_pods() -> None:
    """Clients read of nothing that is not there."""
    registered, _ = run(builder(nodes=NATIVE, createNamespace=True))
    names = by_name(registered)
    assert [_tail(urn) for urn in names["kube-builder-amd64-deployment"].depends_on] == ["kube-namespace"]
    assert {_tail(urn) for urn in names["kube-output"].depends_on} == {
        "kube-namespace", "kube-builder-amd64-deployment", "kube-builder-arm64-deployment",
    }  # fmt: skip


def test_the_timeout_option_is_how_long_pulumi_waits() -> None:
    """`timeout` becomes the custom timeouts of create and update."""
    registered, _ = run(builder(nodes=NATIVE))
    names = by_name(registered)
    assert names["kube-builder-amd64-deployment"].custom_timeouts == {"create": "90s", "update": "90s"}
    assert names["kube-builder-arm64-deployment"].custom_timeouts == {"create": "120s", "update": "120s"}


@pytest.mark.parametrize(("option", "waited"), [("1.5s", "1.5s"), ("300h", "1080000s"), ("1ns", "0.001s")])
def test_any_timeout_is_written_as_go_reads_it(option: str, waited: str) -> None:
    """Without exponents, however long or short."""
    registered, _ = run(builder(**{"driver-opts": f"timeout={option}"}))
    assert by_name(registered)["kube-kube0-deployment"].custom_timeouts == {"create": waited, "update": waited}


def test_config_of_a_misspelt_namespace_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`builders:nodes` is not passed over in silence; config of other packages is."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere")

    def program() -> None:
        set_all_config({"builders:nodes": "[]", "kubernetes:context": "x", "aws:name": "y", "builder:name": "kube"})
        runpy.run_path(str(ROOT / "stacks" / "__main__.py"))

    with pytest.raises(ConfigError) as caught:
        run(program)
    (problem,) = [str(problem) for problem in caught.value.problems if problem.option == "builder"]
    assert problem == 'builder: there is no key "builders:nodes" (did you mean "builder:nodes"?)'


def test_the_output_is_the_same_in_stack_and_config_map() -> None:
    """The exported value and the ConfigMap say the same, and a client can read both."""
    exported: list[Any] = []

    def program() -> None:
        builder(nodes=NATIVE, namespace="buildkit")().output.apply(exported.append)

    registered, _ = run(program)
    from_map = BuilderOutput.loads(by_name(registered)["kube-output"].inputs["data"][CONFIG_MAP_KEY])
    assert from_map.name == "kube"
    assert [node.workload.name for node in from_map.nodes if node.workload] == ["builder-amd64", "builder-arm64"]
    assert BuilderOutput.from_json(json.loads(json.dumps(exported[0]))) == from_map


def test_the_context_is_recorded_only_if_it_was_asked_for() -> None:
    """Everybody names contexts otherwise; the server is what stays."""

    def cluster(**args: Any) -> Any:
        registered, _ = run(builder(**args))
        return BuilderOutput.loads(by_name(registered)["kube-output"].inputs["data"][CONFIG_MAP_KEY]).cluster

    assert cluster() == Cluster("", "https://192.0.2.1:6443")
    assert cluster(context="team") == Cluster("team", "https://192.0.2.1:6443")


def test_a_node_stands_alone() -> None:
    """BuilderNode is a component of its own right, with its options checked."""
    registered, _ = run(lambda: BuilderNode("solo", {"namespace": "buildkit", "driver-opts": "replicas=3"}))
    deployment = by_name(registered)["solo-deployment"].inputs
    assert deployment["metadata"]["namespace"] == "buildkit"
    assert deployment["spec"]["replicas"] == 3


def test_a_node_registers_whatever_objects_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another object of a node needs no change of the component: it is made before the workload, which waits for it."""
    known = manifests.node_objects

    def with_config(node: NodeSpec) -> tuple[manifests.Child, ...]:
        metadata = {"name": node.workload, "namespace": node.namespace}
        config = manifests.Child("config", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        return (config, *known(node))

    monkeypatch.setattr(manifests, "node_objects", with_config)
    registered, _ = run(builder(createNamespace=True))
    names = by_name(registered)
    assert [_tail(urn) for urn in names["kube-kube0-config"].depends_on] == ["kube-namespace"]
    assert {_tail(urn) for urn in names["kube-kube0-deployment"].depends_on} == {"kube-namespace", "kube-kube0-config"}
    assert "kube-kube0-deployment" in {_tail(urn) for urn in names["kube-output"].depends_on}


def test_what_is_wrong_with_a_node_alone_names_no_builder() -> None:
    """The places are those of the node's own args."""
    args: Any = {"name": "A", "replicas": 2, "driver-opts": {"replicas": -1}}
    with pytest.raises(ConfigError) as caught:
        run(lambda: BuilderNode("solo", args))
    assert [problem.option for problem in caught.value.problems] == ["node", "name", "driver-opts.replicas"]


def test_bad_config_registers_nothing_and_lists_everything() -> None:
    """Every problem is told before any resource is registered."""
    seen: list[Registered] = []

    def program() -> None:
        Builder("good", {"kubeconfig": KUBECONFIG})
        Builder(
            "kube",
            {"kubeconfig": KUBECONFIG, "namespace": "A", "nodes": [{"driver-opts": "replicas=x"}], "context": "nope"},
            where="builder:",
        )

    with pytest.raises(ConfigError) as caught:
        run(program, seen=seen)
    names = {one.name for one in seen}
    assert {"good", "good-good0-deployment"} <= names, "what is registered is seen"
    assert not any(name.startswith("kube") for name in names)
    assert isinstance(caught.value, pulumi.RunError)
    assert [problem.option for problem in caught.value.problems] == [
        "builder:context",
        "builder:namespace",
        "builder:nodes[0].driver-opts.replicas",
    ]


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_the_worked_examples_preview(stack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each stack's config passes the check and registers a Deployment for each of its nodes."""
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    folder = ROOT / ("localcluster" if stack == "local" else "stacks")
    config = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"]
    defaults = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    given = {f"builder:{key}": entry["default"] for key, entry in defaults.items()} | config
    as_pulumi = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}

    def program() -> None:
        set_all_config(as_pulumi)
        runpy.run_path(str(ROOT / "stacks" / "__main__.py"))

    registered, _ = run(program)
    workloads = [one for one in registered if one.type.startswith("kubernetes:apps/v1:")]
    assert len(workloads) == max(1, len(config.get("builder:nodes", [])))
    assert all(one.inputs["metadata"]["namespace"] == "buildkit" for one in workloads)


def test_a_kubeconfig_that_is_an_output_is_what_the_provider_gets() -> None:
    """A secret of the config, or what another resource gives, is enough; clients are told a cluster only by context."""

    def program(**args: Any) -> Callable[[], Builder]:
        return lambda: Builder("kube", {"kubeconfig": pulumi.Output.secret(KUBECONFIG), **args})  # type: ignore

    registered, _ = run(program())
    names = by_name(registered)
    inputs = names["kube-kubernetes"].inputs
    assert inputs["kubeconfig"]["value"] == KUBECONFIG, "wrapped as a secret"
    assert "context" not in inputs
    assert "clusterIdentifier" not in inputs, "Pulumi's provider compares the kubeconfigs' clusters"
    assert names["kube-kube0-deployment"].inputs["metadata"]["namespace"] == "default"
    assert BuilderOutput.loads(names["kube-output"].inputs["data"][CONFIG_MAP_KEY]).cluster == Cluster()
    registered, _ = run(program(context="team"))
    names = by_name(registered)
    inputs = names["kube-kubernetes"].inputs
    assert (inputs["context"], inputs["clusterIdentifier"]) == ("team", "team")
    assert BuilderOutput.loads(names["kube-output"].inputs["data"][CONFIG_MAP_KEY]).cluster == Cluster("team")


def test_what_is_replaced_is_deleted_first_unless_it_moves() -> None:
    """Names are fixed, so a successor finds its place taken; a namespace would take its contents along."""
    first: dict[str, bool] = {}

    def program() -> None:
        from pulumi.runtime import settings

        monitor: Any = settings.get_monitor()
        inner = monitor.RegisterResource

        def record(request: Any) -> Any:
            first[request.name] = request.deleteBeforeReplace
            return inner(request)

        monitor.RegisterResource = record
        builder(createNamespace=True, clientServiceAccount="ci")()
        BuilderNode("moved", {}, moving=True)

    run(program)
    assert {name for name, is_first in first.items() if is_first} == {
        "kube-kube0-deployment", "kube-kube0-disruption-budget", "kube-output",
        "kube-client-serviceaccount", "kube-client-role", "kube-client-rolebinding",
    }  # fmt: skip
    assert first["moved-deployment"] is False


def test_a_volume_makes_another_resource_of_the_workload() -> None:
    """From Deployment to StatefulSet is one resource to create and another to delete, not an update of one."""
    volume = {"driver-opts": {"persistent-volume-claim.requests.storage": "1Gi"}}
    before, _ = run(builder(nodes=[{"name": "a"}]))
    after, made = run(builder(nodes=[{"name": "a", **volume}]))
    kinds = [{(one.type, one.name) for one in found} for found in (before, after)]
    assert kinds[0] - kinds[1] == {("kubernetes:apps/v1:Deployment", "kube-a-deployment")}
    assert kinds[1] - kinds[0] == {("kubernetes:apps/v1:StatefulSet", "kube-a-statefulset")}
    stored = by_name(after)["kube-a-statefulset"].inputs["spec"]["volumeClaimTemplates"][0]
    assert stored["spec"]["resources"]["requests"] == {"storage": "1Gi"}
    assert made is not None
