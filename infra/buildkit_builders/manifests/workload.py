"""The workload of a builder node: the object that manages its pods.

Another kind is one more function here, and its line in the table of `manifests.node`.
"""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.pod import all_annotations, all_labels, pod_template
from buildkit_builders.spec import NodeSpec

__all__ = ["deployment"]


def deployment(node: NodeSpec) -> dict[str, Any]:
    """The node's Deployment. docker buildx finds it by its name, and its pods by the label."""
    metadata: dict[str, Any] = {"name": node.workload, "namespace": node.namespace, "labels": all_labels(node)}
    if noted := all_annotations(node):
        metadata["annotations"] = noted
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": node.options.replicas,
            # User labels are left out: spec.selector is immutable.
            "selector": {"matchLabels": node.selector},
            # A rollout never leaves fewer ready pods than `replicas`.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod_template(node),
        },
    }
