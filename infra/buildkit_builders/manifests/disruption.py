"""How many of a node's pods may be evicted at a time."""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.child import Child
from buildkit_builders.spec import NodeSpec

__all__ = ["disruption_budget"]


def disruption_budget(node: NodeSpec) -> Child | None:
    """The node's PodDisruptionBudget; None where it is to have none."""
    options = node.options
    if not options.disruption_budget_enabled:
        return None
    fewest, most = options.disruption_budget_min_available, options.disruption_budget_max_unavailable
    # One at a time also of one: an eviction lets the pod's builds end, and a budget that forbids it blocks every drain.
    limit: dict[str, Any] = {"maxUnavailable": 1 if most is None else most}
    if fewest is not None:
        limit = {"minAvailable": fewest}
    spec = {
        **limit,
        "selector": {"matchLabels": dict(node.selector)},
        # A pod that is not ready builds nothing, and would hold up the drain.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    metadata = {"name": node.workload, "namespace": node.namespace, "labels": dict(node.selector)}
    manifest = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    return Child("disruption-budget", manifest)
