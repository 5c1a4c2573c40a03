"""A pod's JSON as the few facts that the choice of a pod needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.core.ports import Pod

__all__ = ["describe_pods", "read_pod"]


def read_pod(raw: Mapping[str, Any], container: str) -> Pod:
    """One object of a pod list or watch, with the state of its container `container`."""
    metadata, spec, status = raw.get("metadata") or {}, raw.get("spec") or {}, raw.get("status") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready", {}).get("status") == "True"
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return Pod(
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        ready=ready,
        terminating="deletionTimestamp" in metadata,
        phase=str(status.get("phase", "")),
        kubernetes_node=str(spec.get("nodeName") or ""),
        reason="" if ready else _reason(status, conditions, states),
        container_ready=any(s.get("name") == container and s.get("ready") for s in states),
        uid=str(metadata.get("uid", "")),
        created=str(metadata.get("creationTimestamp") or ""),
    )


def describe_pods(pods: Sequence[Pod]) -> str:
    """Why none will do, pod by pod: `builder-0: ImagePullBackOff: …`."""
    return "; ".join(
        f"{pod.name}: {'terminating' if pod.terminating else pod.reason or pod.phase or 'no state yet'}" for pod in pods
    )


def _reason(
    status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]], states: Sequence[Mapping[str, Any]]
) -> str:
    """The cluster's own words, the most telling first: scheduling, a container that can't start, the pod itself."""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _words(scheduled.get("reason"), scheduled.get("message"))
    for state in states:
        waiting = (state.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "PodInitializing"):
            last = ((state.get("lastState") or {}).get("terminated")) or {}
            ended = f"last exit code {last['exitCode']}" if "exitCode" in last else ""
            return _words(waiting.get("reason"), waiting.get("message"), ended)
        ended_now = (state.get("state") or {}).get("terminated")
        if ended_now and ended_now.get("exitCode"):
            return _words(ended_now.get("reason"), ended_now.get("message"), f"exit code {ended_now['exitCode']}")
    if status.get("reason") or status.get("message"):
        return _words(status.get("reason"), status.get("message"))
    unready = [str(state.get("name")) for state in states if not state.get("ready")]
    return f"container {', '.join(unready)} not ready" if unready else ""


def _words(*parts: object) -> str:
    return ": ".join(" ".join(str(part).split()) for part in parts if part)
