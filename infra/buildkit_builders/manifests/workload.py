"""The workload of a builder node: what keeps its pods alive. Today a Deployment; another kind is one more function."""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.pod import all_annotations, all_labels, pod_template
from buildkit_builders.spec import NodeSpec

__all__ = ["deployment"]


def deployment(node: NodeSpec) -> dict[str, Any]:
    """The node's Deployment; `docker buildx` attaches to one of this name and pod label."""
    metadata: dict[str, Any] = {"name": node.workload, "namespace": node.namespace, "labels": all_labels(node)}
    if noted := all_annotations(node):
        metadata["annotations"] = noted
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": node.options.replicas,
            # labels of the user's stay out: this field can never change
            "selector": {"matchLabels": node.selector},
            # a roll never leaves fewer ready pods than were asked for
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod_template(node),
        },
    }
