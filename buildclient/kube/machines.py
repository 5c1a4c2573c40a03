"""The Kubernetes nodes that should get no new build: cordoned, or under pressure. To read them takes its own right."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.pod import Pod, table, tables

__all__ = ["marked", "read_going"]

_LOG = logging.getLogger("buildclient.kube")
_PRESSURES = {"MemoryPressure": "memory", "DiskPressure": "disk", "PIDPressure": "process"}
"""Conditions under which the kubelet evicts pods (k8s.io/api/core/v1, NodeConditionType)."""


async def read_going(api: KubeApi) -> Mapping[str, str]:
    """Returns which nodes get no new build, each with the reason; none where they cannot be read."""
    try:
        answer = await api.get("/api/v1/nodes", {}, "cannot list the nodes")
    except UnreachableError as error:
        _LOG.debug("the nodes are not read: %s", error)
        return {}
    found = ((str(table(item.get("metadata")).get("name")), _why(item)) for item in tables(answer.get("items")))
    return {name: why for name, why in found if why}


def _why(node: Mapping[str, Any]) -> str:
    if table(node.get("spec")).get("unschedulable") is True:
        return "is cordoned"
    on = {condition.get("type") for condition in _true(node)}
    return next((f"is under {word} pressure" for kind, word in _PRESSURES.items() if kind in on), "")


def _true(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in tables(table(node.get("status")).get("conditions")) if one.get("status") == "True"]


def marked(pods: Sequence[Pod], going: Mapping[str, str]) -> list[Pod]:
    """Returns the pods, those on `going` nodes as terminating and with the reason; as they are if no other is ready."""

    def stays(pod: Pod) -> bool:
        return pod.kubernetes_node not in going

    if not any(pod.ready and not pod.terminating and stays(pod) for pod in pods):
        return list(pods)
    return [
        pod
        if stays(pod)
        else pod._replace(terminating=True, reason=f"node {pod.kubernetes_node} {going[pod.kubernetes_node]}")
        for pod in pods
    ]
