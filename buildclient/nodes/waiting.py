"""The wait for pods as a step of a build's progress."""

from __future__ import annotations

import time
from collections.abc import Sequence

from buildclient.kube.pod import Pod, describe_pods
from buildclient.progress.events import EventSink, Log, Vertex

__all__ = ["WaitSteps"]


class WaitSteps:
    """Takes what `buildclient.nodes.node.Waiting` is told, and gives one step for each node to a sink."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._told: dict[str, str] = {}
        self._started: dict[str, float] = {}

    def __call__(self, node: str, pods: Sequence[Pod]) -> None:
        digest = f"client:wait:{node}"
        ready = any(pod.ready and not pod.terminating for pod in pods)
        now = time.time()
        said = describe_pods(pods) or "no pods yet"
        name = f"[internal] waiting for a pod of {node}"
        started = self._started.setdefault(node, now)
        if started == now or ready:
            self._sink(Vertex(digest, name, started=started, completed=now if ready else None))
        if not ready and self._told.get(node) != said:
            self._sink(Log(digest, 1, f"{said}\n".encode(), now))
        self._told[node] = said
