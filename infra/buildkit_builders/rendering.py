"""All objects of a builder or a node, laid out as one tree: pure, from a checked spec."""

from __future__ import annotations

from typing import NamedTuple

from buildclient.contract.output import BuilderOutputDict, Cluster
from buildkit_builders import manifests
from buildkit_builders.spec import BuilderSpec, NodeSpec

__all__ = ["BuilderObjects", "NodeObjects", "builder_objects", "node_objects"]


class NodeObjects(NamedTuple):
    """What a node is made of."""

    name: str
    workload: str
    """The workload's name in Kubernetes."""
    kind: str
    """The workload's kind."""
    namespace: str
    objects: tuple[manifests.Child, ...]
    """In order of creation; the workload comes last."""
    companions: tuple[manifests.Child, ...]
    """What is made once the workload is there."""


class BuilderObjects(NamedTuple):
    """What a builder is made of."""

    namespaces: tuple[manifests.Child, ...]
    nodes: tuple[NodeObjects, ...]
    output: BuilderOutputDict
    output_config_map: manifests.Child
    access: tuple[manifests.Child, ...]


def builder_objects(spec: BuilderSpec, cluster: Cluster) -> BuilderObjects:
    """The objects of a builder in that cluster."""
    output = spec.output(cluster)
    return BuilderObjects(
        manifests.namespaces(spec),
        tuple(map(node_objects, spec.nodes)),
        output.to_json(),
        manifests.output_config_map(output),
        manifests.client_access(spec),
    )


def node_objects(spec: NodeSpec) -> NodeObjects:
    """The objects of a node."""
    return NodeObjects(
        spec.name,
        spec.workload,
        spec.workload_kind,
        spec.namespace,
        manifests.node_objects(spec),
        manifests.companions(spec),
    )
