"""Why a workload has no ready pods, in the cluster's words: conditions, pods and warning events.

What the user may not read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.pod import read_pod

__all__ = ["STOPPED", "read_reasons"]

_MAX_REASONS = 6
"""A workload of many pods says the same many times."""
_MAX_EVENTS = 500
_COMBINED = "(combined from similar events): "
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


STOPPED = "it is scaled to no replicas; a build with the right to patch its scale starts it"
"""The reason of a workload that was stopped."""


def read_reasons(api: KubeApi, namespace: str, kind: str, name: str) -> tuple[str, ...]:
    """Returns why Deployment or StatefulSet `name` has no ready pods: the most useful reason first, each once.

    Blocks for up to three requests. Empty if the cluster gives no reason or none may be read.
    """
    place = quote(namespace, safe="")
    plural = _PLURALS.get(kind, "deployments")
    workload = _read(api, f"/apis/apps/v1/namespaces/{place}/{plural}/{quote(name, safe='')}", {})
    if (workload.get("spec") or {}).get("replicas") == 0:
        return (STOPPED,)
    labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {"app": name}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = _read(api, f"/api/v1/namespaces/{place}/pods", {"labelSelector": selector})
    events = _read(
        api, f"/api/v1/namespaces/{place}/events", {"fieldSelector": "type=Warning", "limit": str(_MAX_EVENTS)}
    )
    found = dict.fromkeys([*_conditions(workload), *_pods(pods), *_events(events, name)])
    return tuple(found)[:_MAX_REASONS]


def _read(api: KubeApi, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        return api.read(path, query, "cannot read why pods are not ready")
    except UnreachableError:
        return {}


def _conditions(workload: Mapping[str, Any]) -> Iterator[str]:
    for one in (workload.get("status") or {}).get("conditions") or ():
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True":
            yield _words(one.get("reason"), one.get("message"))


def _pods(pods: Mapping[str, Any]) -> Iterator[str]:
    for item in pods.get("items") or ():
        pod = read_pod(item)
        if not pod.ready and pod.reason:
            yield pod.reason


def _events(events: Mapping[str, Any], name: str) -> Iterator[str]:
    """Returns warnings of the workload and of its objects (their names begin with its name), the newest first.

    Generated names of pods are left out: they differ from try to try, and the reason does not.
    """

    def when(event: Mapping[str, Any]) -> str:
        return str(event.get("lastTimestamp") or event.get("eventTime") or "")

    for event in sorted(events.get("items") or (), key=when, reverse=True):
        about = event.get("involvedObject") or {}
        of = str(about.get("name") or "")
        if of == name or of.startswith(f"{name}-"):
            message = str(event.get("message") or "").removeprefix(_COMBINED)
            yield _words(event.get("reason"), re.sub(rf"{re.escape(name)}-[a-z0-9-]+", f"{name}-…", message))


def _words(*parts: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in parts if part)
