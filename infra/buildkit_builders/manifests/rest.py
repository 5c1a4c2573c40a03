"""What brings a node to no pods when nothing is built: a CronJob that runs this project's client, with its own rights.

The client decides (`buildclient stop --if-idle`), and finds the node by a file, so that it need not read the builder's
output in the cluster.
"""

from __future__ import annotations

import hashlib
from typing import Any

from buildclient.contract.output import BuilderOutput
from buildkit_builders.manifests.child import Child
from buildkit_builders.manifests.rbac import Rule, role_and_binding, rule
from buildkit_builders.spec import NodeSpec

__all__ = ["resting"]

_OUTPUT = "buildkit-builders/output"
"""The annotation of the CronJob's pods that holds the node as a builder output."""
_FOLDER, _FILE = "/etc/buildclient", "builder.json"
_LONGEST_NAME = 52
"""Of a CronJob: its jobs' names add eleven characters to it (Kubernetes, "CronJob")."""
_DEADLINE = 300
"""Seconds that a job may take, its image's pull included."""
_USER = 65532


def resting(node: NodeSpec) -> tuple[Child, ...]:
    """The CronJob, its ServiceAccount, Role and RoleBinding; empty if the node does not go to no pods."""
    if not node.options.rests:
        return ()
    metadata = {"name": _name(node), "namespace": node.namespace}
    own = {"kind": "ServiceAccount", **metadata}
    role, binding = role_and_binding(_name(node), node.namespace, _rules(node), [own])
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(metadata)}
    job = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": dict(metadata), "spec": _cron_job(node)}
    made: tuple[dict[str, Any], ...] = (account, role, binding, job)
    return tuple(Child(f"scale-to-zero-{one['kind'].lower()}", one) for one in made)


def _name(node: NodeSpec) -> str:
    name = f"{node.workload}-to-zero"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(node.workload.encode()).hexdigest()[:8]
    return f"{node.workload[:34].rstrip('-.')}-{digest}-to-zero"


def _rules(node: NodeSpec) -> list[Rule]:
    """Only the workload can be named: pods come and go, and a Role knows no labels."""
    scale = f"{node.workload_kind.lower()}s/scale"
    return [
        rule("pods", ["list"]),
        # An exec over WebSocket is a GET request; since Kubernetes 1.35 it needs create as well.
        rule("pods/exec", ["get", "create"]),
        rule(scale, ["get", "patch"], [node.workload], "apps"),
    ]


def _cron_job(node: NodeSpec) -> dict[str, Any]:
    # Without the endpoint, which takes a certificate: the pods are reached by exec.
    output = BuilderOutput(node.name, node.namespace, (node.output()._replace(endpoint=""),))
    template = {
        "metadata": {"annotations": {_OUTPUT: output.dumps()}},
        "spec": _pod(node),
    }
    return {
        "schedule": node.options.scale_to_zero_schedule,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": _DEADLINE, "template": template},
        },
    }


def _pod(node: NodeSpec) -> dict[str, Any]:
    options = node.options
    container = {
        "name": "buildclient",
        "image": options.scale_to_zero_image,
        "args": ["stop", "--if-idle", f"{options.scale_to_zero_after}s", "--builder-file", f"{_FOLDER}/{_FILE}"],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "builder", "mountPath": _FOLDER, "readOnly": True}],
    }
    item = {"path": _FILE, "fieldRef": {"fieldPath": f"metadata.annotations['{_OUTPUT}']"}}
    spec: dict[str, Any] = {
        "serviceAccountName": _name(node),
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "builder", "downwardAPI": {"items": [item]}}],
    }
    if options.imagepullsecrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.imagepullsecrets]
    return spec
