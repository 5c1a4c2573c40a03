"""Deployments: ready when the new ReplicaSet is complete and the Deployment says it is available.

Three things are watched: the Deployment, its ReplicaSets, their pods (for what to say when it fails). The generation
must have been seen by the controller, else the status is about the past; from the second revision on the condition
`Progressing` must say `NewReplicaSetAvailable`.
"""

from __future__ import annotations

from collections.abc import Sequence

from standins.provider.await_.pod import pod_trouble
from standins.provider.await_.readiness import (
    Following,
    Message,
    Source,
    condition,
    count,
    has_seen_generation,
    selector_text,
)
from standins.provider.objects import Object, dig, name_of, owned_by, revision_number

__all__ = ["DeploymentReadiness"]


class DeploymentReadiness(Following):
    """Follows one Deployment through a roll-out."""

    def __init__(self, live: Object) -> None:
        super().__init__(live)
        self._replica_sets: dict[str, Object] = {}
        self._pods: dict[str, Object] = {}

    def sources(self) -> Sequence[Source]:
        """The Deployment, ReplicaSets and pods."""
        labels = selector_text(dig(self.live, "spec", "selector", "matchLabels"))
        return [
            *super().sources(),
            Source("apps/v1", "ReplicaSet", labels=labels),
            Source("v1", "Pod", labels=labels),
        ]

    def observe(self, event: str, target: Object, now: float) -> None:
        """Keeps the newest of each."""
        held = {"ReplicaSet": self._replica_sets, "Pod": self._pods}.get(target.get("kind", ""))
        if held is None:
            super().observe(event, target, now)
        elif event == "DELETED":
            held.pop(name_of(target), None)
        else:
            held[name_of(target)] = target

    def _current(self) -> Object | None:
        """The ReplicaSet of the Deployment's revision."""
        revision = revision_number(self.live)
        owned = (held for held in self._replica_sets.values() if owned_by(held, self.live))
        return next((held for held in owned if revision and revision_number(held) == revision), None)

    def _available(self) -> bool:
        return condition(self.live, "Available").get("status") == "True"

    def _rolled(self) -> bool:
        held = condition(self.live, "Progressing")
        return held.get("status") == "True" and held.get("reason") == "NewReplicaSetAvailable"

    def _first(self) -> bool:
        return revision_number(self.live) == "1"

    def _complete(self) -> bool:
        current = self._current()
        if current is None:
            return False
        return count(current, "status", "readyReplicas") >= count(self.live, "spec", "replicas", default=1)

    def ready(self, now: float) -> bool:
        """Whether the roll-out is complete."""
        if not self.seen or self.gone or not has_seen_generation(self.live, self.wanted):
            return False
        return self._available() and (self._first() or self._rolled()) and self._complete()

    def status(self) -> Sequence[Message]:
        """How many pods are available."""
        if self.ready(0.0):
            return [("info", "Deployment initialization complete")]
        current = self._current()
        if current is None or self._complete() or not has_seen_generation(self.live, self.wanted):
            return []
        have, want = count(current, "status", "readyReplicas"), count(current, "spec", "replicas", default=1)
        return [("info", f"Waiting for app ReplicaSet to be available ({have}/{want} Pods available)")]

    def _condition_errors(self) -> list[str]:
        held = [condition(self.live, kind) for kind in ("Progressing", "Available")]
        bad = [one for one in held if one.get("status") == "False" and one.get("reason") and one.get("message")]
        return [f"[{one['reason']}] {one['message']}" for one in bad]

    def _pod_messages(self) -> list[Message]:
        current = self._current()
        mine = [pod for pod in self._pods.values() if current is not None and owned_by(pod, current)]
        found = [message for pod in sorted(mine, key=name_of) for message in pod_trouble(pod)]
        return [message for message in found if message[0] != "info"]

    def trouble(self) -> Sequence[Message]:
        """What the conditions and the pods complain of."""
        return [*(("warning", text) for text in self._condition_errors()), *self._pod_messages()]

    def problems(self) -> Sequence[str]:
        """The conditions' errors, which step was not reached, and the pods' errors."""
        found = self._condition_errors()
        if not self._available():
            found.append("Minimum number of live Pods was not attained")
        elif self._first() or not self._rolled():
            found.append("Minimum number of Pods to consider the application live was not attained")
        elif not self._complete():
            found.append("Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live")
        return [*found, *(text for _, text in self._pod_messages())]
