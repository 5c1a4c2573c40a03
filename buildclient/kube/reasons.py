"""Why a workload has no ready pods, in the cluster's words: conditions, pods and warning events.

What the user may not read is left out; if nothing else is known, the first right that is missing is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.pod import read_pod, table, tables

__all__ = ["LEFT_TO_CLUSTER", "STOPPED", "read_pulls", "read_reasons"]

_MAX_REASONS = 6
"""A workload of many pods says the same many times."""
_MAX_EVENTS = 500
_PULLS = ("Pulling", "Pulled")
"""The kubelet's events of an image: it begins with the first, and ends with the second."""
_COMBINED = "(combined from similar events): "
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}


STOPPED = "it is scaled to no replicas; a build with the right to patch its scale starts it"
"""The reason of a workload that was stopped."""
LEFT_TO_CLUSTER = "it is scaled to no replicas; its autoscaler starts it once a trigger is active"
"""The reason of one that clients do not start."""


def read_reasons(api: KubeApi, namespace: str, kind: str, name: str) -> tuple[str, ...]:
    """Returns why Deployment or StatefulSet `name` has no ready pods: the most useful reason first, each once.

    Blocks for up to three requests. Empty if the cluster gives no reason.
    """
    refused: list[str] = []
    place = quote(namespace, safe="")
    plural = _PLURALS.get(kind, "deployments")
    workload = _read(api, refused, f"/apis/apps/v1/namespaces/{place}/{plural}/{quote(name, safe='')}", {})
    if (workload.get("spec") or {}).get("replicas") == 0:
        return (STOPPED,)
    labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {"app": name}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    pods = _read(api, refused, f"/api/v1/namespaces/{place}/pods", {"labelSelector": selector})
    query = {"fieldSelector": "type=Warning", "limit": str(_MAX_EVENTS)}
    events = _read(api, refused, f"/api/v1/namespaces/{place}/events", query)
    found = dict.fromkeys([*_conditions(workload), *_pods(pods), *_events(events, name)])
    return tuple(found)[:_MAX_REASONS] or (() if _pods_there(pods) else tuple(refused[:1]))


def read_pulls(api: KubeApi, namespace: str, pods: Sequence[str]) -> dict[str, str]:
    """Returns what image each of these pods is waiting for, by the pod's name; blocks for one request.

    Empty where the user may not read events.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
    query = {"fieldSelector": "type=Normal,involvedObject.kind=Pod", "limit": str(_MAX_EVENTS)}
    latest: dict[str, tuple[str, str]] = {}
    for event in tables(_read(api, [], path, query).get("items")):
        name, reason = table(event.get("involvedObject")).get("name"), event.get("reason")
        if name in pods and reason in _PULLS:
            latest[str(name)] = max(latest.get(str(name), ("", "")), (_when(event), _words(event.get("message"))))
    return {name: said for name, (_, said) in latest.items() if said.startswith("Pulling")}


def _read(api: KubeApi, refused: list[str], path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        return api.read(path, query, "cannot read why pods are not ready")
    except UnreachableError as error:
        if isinstance(error, ApiError) and error.right:
            refused.append(f"the reason is hidden, as {error.right} ({error.right.hint})")
        return {}


def _pods_there(pods: Mapping[str, Any]) -> bool:
    return bool(pods.get("items"))


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

    for event in sorted(events.get("items") or (), key=_when, reverse=True):
        about = event.get("involvedObject") or {}
        of = str(about.get("name") or "")
        if of == name or of.startswith(f"{name}-"):
            message = str(event.get("message") or "").removeprefix(_COMBINED)
            yield _words(event.get("reason"), re.sub(rf"{re.escape(name)}-[a-z0-9-]+", f"{name}-…", message))


def _when(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _words(*parts: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in parts if part)
