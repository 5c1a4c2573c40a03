"""All objects of a builder node, in order of creation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from buildkit_builders.manifests.buildkitd import config_map
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.workload import deployment, stateful_set
from buildkit_builders.spec import NodeSpec

__all__ = ["node_objects"]

_WORKLOADS: Mapping[str, Callable[[NodeSpec], dict[str, Any]]] = {
    "Deployment": deployment,
    "StatefulSet": stateful_set,
}


def node_objects(node: NodeSpec) -> tuple[Child, ...]:
    """The node's objects; the workload comes last, after what its pods need.

    Raises KeyError for a kind of workload that is not made here.
    """
    workload = _WORKLOADS[node.workload_kind](node)
    before = [child for child in (config_map(node),) if child]
    return (
        *before,
        Child(node.workload_kind.lower(), workload, ready_within=node.options.timeout),
    )
