"""Parses a pod's JSON into what is needed to choose a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from buildclient.base.streams import Endpoint

if TYPE_CHECKING:
    from buildclient.kube.lease import Ticket

__all__ = [
    "Owner",
    "Pod",
    "Pods",
    "Queue",
    "by_reason",
    "describe_pods",
    "essence",
    "moment",
    "read_pod",
    "several",
    "table",
    "tables",
]


_READ = {
    "metadata": ("name", "namespace", "deletionTimestamp", "ownerReferences"),
    "spec": ("nodeName",),
    "status": ("conditions", "containerStatuses", "initContainerStatuses", "message", "phase", "reason"),
}
"""The fields that `read_pod` reads."""


class Owner(NamedTuple):
    """The object that made another, and that the cluster takes away together with it."""

    api_version: str
    kind: str
    name: str
    uid: str


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
    ready_since: float = 0.0
    """When it became ready, in seconds since the epoch; 0 if it is not, or the cluster does not say."""
    owner: Owner | None = None
    """Its ReplicaSet or StatefulSet."""
    containers: tuple[tuple[str, str], ...] = ()
    """The ids of its running containers, by name; a container that was restarted has another."""

    def container_id(self, name: str) -> str:
        """Returns the id of a running container, empty if it is not known; without a name, that of the only one."""
        if name:
            return dict(self.containers).get(name, "")
        return self.containers[0][1] if len(self.containers) == 1 else ""


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

    async def pulls(self, namespace: str, pods: Sequence[str]) -> Mapping[str, str]:
        """Returns what image pods of these names are waiting for; those of which that is known."""

    async def replicas(self, namespace: str, kind: str, name: str) -> int:
        """How many pods a workload is to have. Raises UnreachableError."""

    async def scale(self, namespace: str, kind: str, name: str, replicas: int, *, only_from: int | None = None) -> int:
        """Sets a workload's replicas and returns how many it had; with `only_from`, only if it had that many."""

    def endpoint(self, pod: Pod, container: str) -> Endpoint:
        """The daemon in a pod."""

    def version(self, pod: Pod, container: str) -> str | None:
        """The BuildKit version that this very container was found to have; None if that is not remembered."""

    def note_version(self, pod: Pod, container: str, version: str) -> None:
        """Notes what BuildKit version the container has, where such things are remembered."""

    def queue(self, namespace: str, workload: str) -> Queue:
        """The queue of the builds that wait for a pod of the workload."""


class Queue(Protocol):
    """The tickets of the builds that wait for a pod of one node (`buildclient.kube.lease`)."""

    async def tickets(self) -> Sequence[Ticket]:
        """All tickets, those of dead clients among them. Raises UnreachableError."""

    async def changed(self, seconds: float) -> None:
        """Returns once a ticket was taken or given back, or after `seconds`. Raises UnreachableError."""

    async def take(self, owner: Owner | None = None) -> Ticket:
        """Takes a ticket, which the cluster takes away with its owner. Raises UnreachableError."""

    async def renew(self, ticket: Ticket) -> bool:
        """Returns whether the ticket was still there, and is renewed. Raises UnreachableError."""

    async def give_back(self, ticket: Ticket, *, only_unchanged: bool = False) -> None:
        """Takes a ticket out of the queue; with `only_unchanged`, if it was not renewed. Raises UnreachableError."""


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
        # DisruptionTarget: its eviction, preemption or deletion is decided, and follows at once.
        terminating="deletionTimestamp" in metadata or conditions.get("DisruptionTarget", {}).get("status") == "True",
        phase=str(status.get("phase", "")),
        kubernetes_node=str(spec.get("nodeName") or ""),
        reason="" if ready else _reason(status, conditions, states),
        ready_since=moment(conditions["Ready"].get("lastTransitionTime")) if ready else 0.0,
        owner=_owner(metadata),
        containers=tuple(_running(status)),
    )


def essence(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Returns as much of a pod's object as `read_pod` reads: a tenth of what the API gives."""
    return {
        part: {key: value for key, value in table(raw.get(part)).items() if key in keys} for part, keys in _READ.items()
    }


def _running(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in tables(status.get("containerStatuses")):
        name, id = one.get("name"), one.get("containerID")
        if isinstance(name, str) and isinstance(id, str) and id and "running" in table(one.get("state")):
            yield name, id


def _owner(metadata: Mapping[str, Any]) -> Owner | None:
    for one in tables(metadata.get("ownerReferences")):
        if one.get("controller") is True:
            return Owner(*(str(one.get(key) or "") for key in ("apiVersion", "kind", "name", "uid")))
    return None


def moment(text: object) -> float:
    """A time of Kubernetes (RFC 3339) in seconds since the epoch; 0 for what is none."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


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
        # A pod that is ready has a reason only where its machine is going.
        why = (
            "terminating"
            if pod.terminating and not (pod.ready and pod.reason)
            else pod.reason or pod.phase or "no state yet"
        )
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
