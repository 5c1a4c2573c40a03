"""All objects of a builder node, in order of creation: those up to the workload, and those that go with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from buildkit_builders.manifests.autoscale import autoscaler
from buildkit_builders.manifests.buildkitd import config_map
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.disruption import disruption_budget
from buildkit_builders.manifests.endpoint import certificate, service
from buildkit_builders.manifests.network import network_policy
from buildkit_builders.manifests.rest import resting
from buildkit_builders.manifests.workload import deployment, stateful_set
from buildkit_builders.spec import NodeSpec

__all__ = ["companions", "node_objects", "without_replicas"]

_WORKLOADS: Mapping[str, Callable[[NodeSpec], dict[str, Any]]] = {
    "Deployment": deployment,
    "StatefulSet": stateful_set,
}


_BEFORE: tuple[Callable[[NodeSpec], Child | None], ...] = (
    config_map,
    network_policy,
    certificate,
    service,
)


def node_objects(node: NodeSpec) -> tuple[Child, ...]:
    """The node's objects; the workload comes last, after what its pods need.

    Raises KeyError for a kind of workload that is not made here.
    """
    workload = _WORKLOADS[node.workload_kind](node)
    grace = node.options.termination_grace_period
    # A pod of a StatefulSet has its successor once it has gone; one of a Deployment before that.
    replaced = node.options.timeout + grace
    before = [child for make in _BEFORE if (child := make(node))]
    return (
        *before,
        Child(
            node.workload_kind.lower(),
            workload,
            ready_within=node.options.timeout,
            updated_within=replaced if node.workload_kind == "StatefulSet" else 0.0,
            gone_within=grace,
        ),
    )


def companions(node: NodeSpec) -> tuple[Child, ...]:
    """What scales the node's workload or guards its pods, and is made once that is there."""
    return tuple(child for child in (disruption_budget(node), autoscaler(node), *resting(node)) if child)


def without_replicas(child: Child) -> Child:
    """A workload whose replicas are left to an autoscaler; any other object as it is."""
    spec = child.manifest.get("spec")
    if not isinstance(spec, Mapping) or "replicas" not in spec:
        return child
    kept = {key: value for key, value in spec.items() if key != "replicas"}
    return child._replace(manifest={**child.manifest, "spec": kept})
