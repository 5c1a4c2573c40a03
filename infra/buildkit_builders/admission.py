"""Asks a cluster, before anything is made, whether a namespace's Pod Security level lets a builder's pods in.

The cluster itself judges: each node's pod is created in a dry run. Who may not create pods reads the namespace's label;
who may not do that either learns it from the update.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import ApiError, KubeApi
from buildkit_builders.manifests.container import state_volume
from buildkit_builders.manifests.pod import pod_template
from buildkit_builders.manifests.podsecurity import ENFORCE, LEVELS, level_of
from buildkit_builders.spec import NodeSpec

__all__ = ["pod_security_lines"]

_VIOLATES = re.compile(r'violates PodSecurity "[^"]*": .*')
# Of other objects, whose absence the cluster would tell before it looks at the level.
_REFERENCES = ("serviceAccountName", "serviceAccount", "priorityClassName", "runtimeClassName", "imagePullSecrets")


def pod_security_lines(api: KubeApi, nodes: Sequence[NodeSpec]) -> Iterator[str]:
    """A line for each node whose pods its namespace would refuse, as far as that can be asked. Blocks."""
    for node in nodes:
        try:
            found = _asked(api, node)
        except ApiError as error:
            # Of no namespace, or another policy's matter.
            found = _by_label(api, node) if error.right else ""
        except UnreachableError:
            return
        if found:
            label = f"kubectl label namespace {node.namespace} {ENFORCE}={level_of(pod_template(node))} --overwrite"
            yield f"node {node.name}: namespace {node.namespace} refuses its pods: {found}; let them in: {label}"


def _asked(api: KubeApi, node: NodeSpec) -> str:
    """Why a dry run of a pod is refused; empty if it is not. Raises ApiError if it says nothing of levels."""
    path = f"/api/v1/namespaces/{quote(node.namespace, safe='')}/pods"
    try:
        api.create(path, {"dryRun": "All"}, _pod(node), "cannot try a pod")
    except ApiError as error:
        if violates := _VIOLATES.search(str(error)):
            return violates[0]
        raise
    return ""


def _by_label(api: KubeApi, node: NodeSpec) -> str:
    try:
        found = api.read(f"/api/v1/namespaces/{quote(node.namespace, safe='')}", {}, "cannot read the namespace")
    except UnreachableError:
        return ""
    enforced = str(((found.get("metadata") or {}).get("labels") or {}).get(ENFORCE) or LEVELS[0])
    level = level_of(pod_template(node))
    refused = enforced in LEVELS and LEVELS.index(enforced) > LEVELS.index(level)
    return f"it lets in level {enforced}, and they are {level}" if refused else ""


def _pod(node: NodeSpec) -> dict[str, Any]:
    template = pod_template(node)
    spec = {name: value for name, value in template["spec"].items() if name not in _REFERENCES}
    if node.options.is_persistent:
        spec["volumes"] = [*spec.get("volumes", []), {"name": state_volume(node.options), "emptyDir": {}}]
    metadata = {**template["metadata"], "generateName": f"{node.workload[:40]}-"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    # What is known only once Pulumi has run has no part in the level.
    known: dict[str, Any] = json.loads(json.dumps(pod, default=lambda _: "late"))
    return known
