"""A builder's config becomes a frozen spec: names, namespaces, inheritance and the output."""

from __future__ import annotations

from typing import Any

from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import BuilderSpec, check_builder

from buildclient.contract.output import BuilderOutput, Cluster


def spec(default_namespace: str = "default", **config: Any) -> BuilderSpec:
    """The spec of a config that has nothing wrong."""
    problems = Problems()
    found = check_builder({"name": "kube", **config}, default_namespace, problems)
    problems.raise_any()
    return found


def test_a_builder_without_nodes_has_one() -> None:
    """The single node is named as docker buildx names it."""
    (node,) = spec(**{"driver-opts": "namespace=buildkit,replicas=4"}).nodes
    assert (node.name, node.workload, node.namespace, node.options.replicas) == ("kube0", "kube0", "buildkit", 4)


def test_underscores_become_hyphens_in_the_workload_alone() -> None:
    """A node keeps its name; its Deployment gets one that Kubernetes takes."""
    found = spec(name="my_kube", nodes=[{}, {"name": "a_b"}])
    assert [(node.name, node.workload) for node in found.nodes] == [("my_kube0", "my-kube0"), ("a_b", "a-b")]
    assert found.nodes[1].selector == {"app": "a-b"}


def test_the_namespace_is_the_nearest_that_is_given() -> None:
    """A node's own, the builder's, the first node's, the context's, in that order."""
    assert spec("team").namespace == "team"
    assert spec("team", namespace="a").nodes[0].namespace == "a"
    own = spec("team", namespace="a", nodes=[{"namespace": "b"}, {"driver-opts": "namespace=c"}, {}])
    assert [node.namespace for node in own.nodes] == ["b", "c", "a"]
    assert own.namespaces == ("a", "b", "c")
    assert spec("team", nodes=[{"driver-opts": "namespace=b"}]).namespace == "b"


def test_nodes_override_the_builders_options_one_by_one() -> None:
    """An option of the node wins; the others stay the builder's."""
    found = spec(
        loadbalance="random",
        nodes=[{"driver-opts": {"replicas": 3}}, {"loadbalance": "sticky"}],
        **{"driver-opts": "replicas=2,requests.cpu=1"},
    )
    assert [node.options.replicas for node in found.nodes] == [3, 2]
    assert [node.options.loadbalance for node in found.nodes] == ["random", "sticky"]
    assert all(node.options.requests() == {"cpu": "1"} for node in found.nodes)


def test_values_as_pulumi_delivers_them_are_taken() -> None:
    """Pulumi's numbers are doubles and its empty defaults mean nothing was given."""
    found = spec(namespace="", nodes=[], createNamespace="", loadbalance="", **{"default-load": "", "driver-opts": ""})
    assert found == spec()


def test_the_output_is_readable_and_the_same_every_time() -> None:
    """What is written is what a client reads."""
    found = spec(nodes=[{"platforms": ["linux/amd64", "linux/arm/v7"], "driver-opts": "timeout=90s"}])
    output = found.output(Cluster("", "https://192.0.2.1"))
    assert BuilderOutput.loads(output.dumps()) == output
    assert output.nodes[0].timeout_seconds == 90


def test_a_name_that_no_stateful_set_can_have_is_refused() -> None:
    """With a volume, a node's name is one DNS label that leaves room for a hash; without, it may be longer."""
    volume = {"driver-opts": "persistent-volume-claim.requests.storage=1Gi"}
    for name in ("a.b", "a" * 53):
        spec(nodes=[{"name": name}])
        problems = Problems()
        check_builder({"name": "kube", "nodes": [{"name": name}], **volume}, "default", problems)
        (problem,) = problems.found
        assert problem.option == "nodes[0].name"
    assert spec(nodes=[{"name": "a" * 52}], **volume).nodes[0].workload_kind == "StatefulSet"
