"""Pods: why one is not ready, and waiting for a single one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from standins.provider.await_.readiness import Following, Message, condition
from standins.provider.objects import Object, dig, name_of, namespace_of

__all__ = ["PodReadiness", "pod_trouble", "qualified"]


def qualified(target: Object) -> str:
    """`namespace/name`; the name alone in the namespace `default`."""
    namespace = namespace_of(target)
    return name_of(target) if namespace in ("", "default") else f"{namespace}/{name_of(target)}"


def _container_errors(status: dict[str, Any]) -> Iterable[str]:
    if status.get("ready"):
        return
    waiting = dig(status, "state", "waiting")
    if waiting and waiting.get("reason") != "ContainerCreating":
        yield f"[{waiting.get('reason', '')}] {waiting.get('message', '')}"
    ended = dig(status, "state", "terminated")
    if ended and ended.get("reason"):
        said = ended.get("message")
        name, code = status.get("name"), ended.get("exitCode")
        yield f"[{ended['reason']}] {said}" if said else f'container "{name}" completed with exit code {code}'
    last = dig(status, "lastState", "terminated")
    if last:
        yield (
            f'container "{status.get("name")}" terminated at {last.get("finishedAt")} '
            f"({last.get('reason')}: exit code {last.get('exitCode')})"
        )
        if last.get("message"):
            yield str(last["message"])


def _said_by(pod: Object, held: dict[str, Any]) -> list[Message]:
    statuses = dig(pod, "status", "containerStatuses", default=[])
    errors = "\n".join(error for status in statuses for error in _container_errors(status))
    said = held.get("message", "") if held.get("reason") else ""
    if not errors and not held.get("message"):
        return []
    return [("warning", f"[Pod {qualified(pod)}]: {said}{errors}")]


def pod_trouble(pod: Object) -> list[Message]:
    """What keeps a pod from being ready; empty if it is, or if nothing is known."""
    for kind in ("PodScheduled", "Initialized", "Ready"):
        held = condition(pod, kind)
        if held.get("status") == "True" or (kind == "Ready" and dig(pod, "status", "phase") == "Succeeded"):
            continue
        if kind == "PodScheduled":
            return [("info", held["message"])] if held.get("reason") and held.get("message") else []
        return _said_by(pod, held) if held else []
    return []


class PodReadiness(Following):
    """A pod is ready when it is scheduled, initialized and ready, or has succeeded."""

    def ready(self, now: float) -> bool:
        """By its conditions."""
        if not self.seen or self.gone:
            return False
        done = dig(self.live, "status", "phase") == "Succeeded"
        wanted = ("PodScheduled", "Initialized") if done else ("PodScheduled", "Initialized", "Ready")
        return all(condition(self.live, kind).get("status") == "True" for kind in wanted)

    def status(self) -> Sequence[Message]:
        """The step it is at."""
        steps = {"PodScheduled": "scheduled", "Initialized": "initialized", "Ready": "ready"}
        for kind, word in steps.items():
            if condition(self.live, kind).get("status") != "True":
                return [("info", f'Waiting for Pod "{qualified(self.live)}" to be {word}')]
        return []

    def trouble(self) -> Sequence[Message]:
        """Its containers' errors."""
        return pod_trouble(self.live)

    def problems(self) -> Sequence[str]:
        """The same, in words."""
        return [text for severity, text in pod_trouble(self.live) if severity != "info"]
