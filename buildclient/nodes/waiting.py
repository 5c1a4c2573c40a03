"""The waits for pods, and in the queues of nodes, as steps of a build's progress."""

from __future__ import annotations

import time
from collections.abc import Sequence

from buildclient.kube.pod import Pod, describe_pods
from buildclient.progress.events import EventSink, Log, Vertex
from buildclient.progress.steps import ClientStep

__all__ = ["WaitSteps"]


class WaitSteps:
    """Takes what `nodes.nodepods.Waiting` and `nodes.line.Queued` are told, and gives one step for each to a sink."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._told: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._lines: dict[str, ClientStep] = {}

    def __call__(self, node: str, pods: Sequence[Pod]) -> None:
        digest = f"client:wait:{node}"
        ready = any(pod.ready and not pod.terminating for pod in pods)
        now = time.time()
        said = f"0 of {len(pods)} pods ready; {describe_pods(pods)}" if pods else "no pods yet"
        name = f"[internal] starting builder {node}"
        started = self._started.setdefault(node, now)
        if started == now or ready:
            self._sink(Vertex(digest, name, started=started, completed=now if ready else None))
        if not ready and self._told.get(node) != said:
            self._sink(Log(digest, 1, f"{said}\n".encode(), now))
        self._told[node] = said

    def queued(self, node: str, said: str) -> None:
        """Shows where the build is in the queue of a node; an empty text ends the step."""
        step = self._lines.pop(node, None)
        if not said:
            if step:
                step.end()
            return
        self._lines[node] = step = step or ClientStep(self._sink, f"[internal] waiting for a free pod of {node}")
        step.say(said)
