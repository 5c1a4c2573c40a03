"""The autoscaler of a builder node: a HorizontalPodAutoscaler, or a ScaledObject of KEDA."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from buildkit_builders.manifests.child import Child
from buildkit_builders.options import Options
from buildkit_builders.spec import CONTAINER, NodeSpec

__all__ = ["autoscaler"]

_DEFAULT_CPU = 80
"""Percent; the metric that Kubernetes takes where none is given."""


def autoscaler(node: NodeSpec) -> Child | None:
    """The object that sets the number of the node's pods; None if the node has none."""
    if not node.options.is_autoscaled:
        return None
    return _scaled_object(node) if node.options.autoscale_keda else _horizontal(node)


def _horizontal(node: NodeSpec) -> Child:
    options = node.options
    spec: dict[str, Any] = {
        "scaleTargetRef": _target(node),
        "minReplicas": options.autoscale_min_replicas,
        "maxReplicas": options.autoscale_max_replicas,
        "metrics": [*_shares(options), *deepcopy(options.autoscale_metrics)],
    }
    if behavior := _behavior(options):
        spec["behavior"] = behavior
    return Child("horizontalpodautoscaler", _object(node, "autoscaling/v2", "HorizontalPodAutoscaler", spec))


def _shares(options: Options) -> list[dict[str, Any]]:
    """Metrics of BuildKit's container alone: one of the whole pod fails where a sidecar has no request."""
    wanted = {"cpu": options.autoscale_cpu, "memory": options.autoscale_memory}
    if not any(wanted.values()) and not options.autoscale_metrics:
        wanted["cpu"] = _DEFAULT_CPU
    return [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": name,
                "container": CONTAINER,
                "target": {"type": "Utilization", "averageUtilization": share},
            },
        }
        for name, share in wanted.items()
        if share
    ]


def _behavior(options: Options) -> dict[str, Any]:
    behavior = deepcopy(dict(options.autoscale_behavior))
    if options.autoscale_scale_down_after is not None:
        window = {"stabilizationWindowSeconds": options.autoscale_scale_down_after}
        behavior["scaleDown"] = {**behavior.get("scaleDown", {}), **window}
    return behavior


def _scaled_object(node: NodeSpec) -> Child:
    options = node.options
    given = deepcopy(dict(options.autoscale_keda))
    triggers = [*_triggers(options), *given.pop("triggers")]
    if behavior := _behavior(options):
        advanced = given.setdefault("advanced", {})
        horizontal = advanced.setdefault("horizontalPodAutoscalerConfig", {})
        horizontal["behavior"] = {**horizontal.get("behavior", {}), **behavior}
    spec = {
        "scaleTargetRef": _target(node),
        "minReplicaCount": options.autoscale_min_replicas,
        "maxReplicaCount": options.autoscale_max_replicas,
        "triggers": triggers,
        **given,
    }
    return Child("scaledobject", _object(node, "keda.sh/v1alpha1", "ScaledObject", spec))


def _triggers(options: Options) -> list[dict[str, Any]]:
    wanted = {"cpu": options.autoscale_cpu, "memory": options.autoscale_memory}
    return [
        {"type": name, "metricType": "Utilization", "metadata": {"value": str(share), "containerName": CONTAINER}}
        for name, share in wanted.items()
        if share
    ]


def _target(node: NodeSpec) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": node.workload_kind, "name": node.workload}


def _object(node: NodeSpec, version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": node.workload, "namespace": node.namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
