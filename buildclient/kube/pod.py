"""Parses a pod's JSON into what is needed to choose a pod."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from buildclient.base.streams import Endpoint

__all__ = ["Pod", "Pods", "by_reason", "describe_pods", "read_pod", "several", "table", "tables"]


class Pod(NamedTuple):
    """One pod of a node, as of the last list or watch event."""

    name: str
    namespace: str
    ready: bool
    terminating: bool
    phase: str = ""
    kubernetes_node: str = ""
    reason: str = ""
    """Why it is not ready, in the cluster's words (a waiting or failed container, an unschedulable pod)."""


class Pods(Protocol):
    """The pods of a cluster."""

    async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        """All pods that carry the labels. Raises UnreachableError."""

    async def wait_ready(
        self,
        namespace: str,
        selector: Mapping[str, str],
        count: int,
        deadline: float,
        report: Callable[[Sequence[Pod]], None] | None = None,
    ) -> Sequence[Pod]:
        """All pods once `count` of them are ready; `report` is told the pods each time they change until then.

        Raises UnreachableError with each pod's reason at the deadline.
        """

    async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
        """Returns why a workload has no ready pods, in the cluster's words; may be empty."""

    async def scale(self, namespace: str, kind: str, name: str, replicas: int, *, only_from: int | None = None) -> int:
        """Sets a workload's replicas and returns how many it had; with `only_from`, only if it had that many."""

    def endpoint(self, pod: Pod, container: str) -> Endpoint:
        """The daemon in a pod."""


def read_pod(raw: Mapping[str, Any]) -> Pod:
    """One object of a pod list or watch event."""
    metadata, spec, status = table(raw.get("metadata")), table(raw.get("spec")), table(raw.get("status"))
    conditions = {str(c.get("type")): c for c in tables(status.get("conditions"))}
    ready = conditions.get("Ready", {}).get("status") == "True"
    states = [*tables(status.get("initContainerStatuses")), *tables(status.get("containerStatuses"))]
    return Pod(
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        ready=ready,
        terminating="deletionTimestamp" in metadata,
        phase=str(status.get("phase", "")),
        kubernetes_node=str(spec.get("nodeName") or ""),
        reason="" if ready else _reason(status, conditions, states),
    )


def table(value: Any) -> Mapping[str, Any]:
    """An object; empty for what is none."""
    return value if isinstance(value, dict) else {}


def tables(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def describe_pods(pods: Sequence[Pod]) -> str:
    """Why pods are not usable, each reason once: `builder-0: ImagePullBackOff: …; 9 pods, such as builder-1: …`."""
    return "; ".join(f"{who}: {why}" for who, why in by_reason(pods))


def by_reason(pods: Sequence[Pod]) -> list[tuple[str, str]]:
    """Returns pods with what they wait for; those with one reason together, as `9 pods, such as builder-1`."""
    found: dict[str, list[str]] = {}
    for pod in pods:
        why = "terminating" if pod.terminating else pod.reason or pod.phase or "no state yet"
        found.setdefault(why, []).append(pod.name)
    return [(several(names), why) for why, names in found.items()]


def several(names: Sequence[str]) -> str:
    """One name, or how many there are and the first."""
    return names[0] if len(names) == 1 else f"{len(names)} pods, such as {names[0]}"


def _reason(
    status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]], states: Sequence[Mapping[str, Any]]
) -> str:
    """The cluster's own words: of scheduling, else of a container that cannot start, else of the pod."""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _words(scheduled.get("reason"), scheduled.get("message"))
    for state in states:
        waiting = table(table(state.get("state")).get("waiting"))
        if waiting and waiting.get("reason") not in (None, "PodInitializing"):
            last = table(table(state.get("lastState")).get("terminated"))
            ended = f"last exit code {last['exitCode']}" if "exitCode" in last else ""
            return _words(waiting.get("reason"), waiting.get("message"), ended)
        ended_now = table(table(state.get("state")).get("terminated"))
        if ended_now.get("exitCode"):
            return _words(ended_now.get("reason"), ended_now.get("message"), f"exit code {ended_now['exitCode']}")
    if status.get("reason") or status.get("message"):
        return _words(status.get("reason"), status.get("message"))
    unready = [str(state.get("name")) for state in states if not state.get("ready")]
    return f"container {', '.join(unready)} not ready" if unready else ""


def _words(*parts: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in parts if part)
