"""The workload of a builder node: the object that manages its pods.

Another kind is one more function here, and its line in the table of `manifests.node`.
"""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.container import state_volume
from buildkit_builders.manifests.pod import all_annotations, all_labels, pod_template
from buildkit_builders.options import Options
from buildkit_builders.spec import NodeSpec

__all__ = ["deployment", "stateful_set"]


def deployment(node: NodeSpec) -> dict[str, Any]:
    """The node's Deployment. docker buildx finds it by its name, and its pods by the label."""
    # A rollout never leaves fewer ready pods than `replicas`. With a port of its Kubernetes node a pod is in the way of
    # its successor, which has to wait.
    surges = not (node.options.hostnetwork and node.options.has_endpoint)
    bounds = {"maxSurge": int(surges), "maxUnavailable": int(not surges)}
    strategy = {"type": "RollingUpdate", "rollingUpdate": bounds}
    return _workload(node, "Deployment", {"strategy": strategy})


def stateful_set(node: NodeSpec) -> dict[str, Any]:
    """The node's StatefulSet, with a volume for each pod. docker buildx finds it as it finds a Deployment."""
    options = node.options
    spec: dict[str, Any] = {
        # No Service of that name is made: clients reach pods by exec, and never by a name in DNS.
        "serviceName": node.workload,
        # Pods of a builder do not know each other; a roll still replaces one at a time.
        "podManagementPolicy": "Parallel",
        # A pod is replaced only once it has gone: two daemons cannot share a state, which BuildKit locks.
        "updateStrategy": {"type": "RollingUpdate"},
        "persistentVolumeClaimRetentionPolicy": {
            "whenScaled": options.persistent_volume_claim_when_scaled,
            "whenDeleted": options.persistent_volume_claim_when_deleted,
        },
        "volumeClaimTemplates": [_claim_template(options)],
    }
    return _workload(node, "StatefulSet", spec)


def _claim_template(options: Options) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "accessModes": [options.persistent_volume_claim_access_mode],
        "resources": {"requests": {"storage": str(options.persistent_volume_claim_requests_storage)}},
    }
    # An empty class would mean none at all, not the cluster's default.
    if options.persistent_volume_claim_storage_class:
        claim["storageClassName"] = options.persistent_volume_claim_storage_class
    return {"metadata": {"name": state_volume(options)}, "spec": claim}


def _workload(node: NodeSpec, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": node.workload, "namespace": node.namespace, "labels": all_labels(node)}
    if noted := all_annotations(node):
        metadata["annotations"] = noted
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {
            **({"replicas": node.options.replicas} if node.keeps_replicas else {}),
            # User labels are left out: spec.selector is immutable.
            "selector": {"matchLabels": node.selector},
            **spec,
            "template": pod_template(node),
        },
    }
