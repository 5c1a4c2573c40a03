"""StatefulSets: ready when every replica is, and all are of the newest revision."""

from __future__ import annotations

from collections.abc import Sequence

from standins.provider.await_.pod import pod_trouble
from standins.provider.await_.readiness import Following, Message, Source, count, has_seen_generation, selector_text
from standins.provider.objects import Object, dig, name_of, owned_by

__all__ = ["StatefulSetReadiness"]


class StatefulSetReadiness(Following):
    """Follows one StatefulSet through a roll-out."""

    def __init__(self, live: Object) -> None:
        super().__init__(live)
        self._pods: dict[str, Object] = {}

    def sources(self) -> Sequence[Source]:
        """The StatefulSet and its pods."""
        labels = selector_text(dig(self.live, "spec", "selector", "matchLabels"))
        return [*super().sources(), Source("v1", "Pod", labels=labels)]

    def observe(self, event: str, target: Object, now: float) -> None:
        """Keeps the newest of each."""
        if target.get("kind") != "Pod":
            super().observe(event, target, now)
        elif event == "DELETED":
            self._pods.pop(name_of(target), None)
        else:
            self._pods[name_of(target)] = target

    def _current(self) -> bool:
        return self.seen and not self.gone and has_seen_generation(self.live, self.wanted)

    def _by_hand(self) -> bool:
        """With `OnDelete` the controller never replaces pods, so their revision is not waited for."""
        changed = count(self.live, "metadata", "generation") > 1
        return changed and dig(self.live, "spec", "updateStrategy", "type") == "OnDelete"

    def _revisions(self) -> tuple[str, str]:
        status = dig(self.live, "status", default={})
        return status.get("currentRevision", ""), status.get("updateRevision", "")

    def _revision_ready(self) -> bool:
        current, target = self._revisions()
        return self._current() and (self._by_hand() or (bool(current) and current == target))

    def _replicas_ready(self) -> bool:
        fields = ["replicas", "readyReplicas", *([] if self._by_hand() else ["currentReplicas"])]
        want = count(self.live, "spec", "replicas")
        return self._current() and all(count(self.live, "status", field) == want for field in fields)

    def _progress(self) -> tuple[int, int]:
        if not self._current():
            return 0, 0
        ready, updated = count(self.live, "status", "readyReplicas"), count(self.live, "status", "updatedReplicas")
        # While rolling, ready ones may still be of the old revision.
        return ready if self._revision_ready() else min(ready, updated), count(self.live, "spec", "replicas")

    def ready(self, now: float) -> bool:
        """Whether the roll-out is complete."""
        return self._revision_ready() and self._replicas_ready()

    def status(self) -> Sequence[Message]:
        """The step it is at."""
        if self.ready(0.0):
            return [("info", "StatefulSet initialization complete")]
        have, want = self._progress()
        if count(self.live, "metadata", "generation") <= 1:
            return [("info", f"[1/2] Waiting for StatefulSet to create Pods ({have}/{want} Pods ready)")]
        if not self._replicas_ready():
            return [("info", f"[1/3] Waiting for StatefulSet update to roll out ({have}/{want} Pods ready)")]
        return [("info", "[2/3] Waiting for StatefulSet to update .status.currentRevision")]

    def trouble(self) -> Sequence[Message]:
        """What the pods complain of."""
        mine = [pod for pod in self._pods.values() if owned_by(pod, self.live)]
        found = [message for pod in sorted(mine, key=name_of) for message in pod_trouble(pod)]
        return [message for message in found if message[0] != "info"]

    def problems(self) -> Sequence[str]:
        """Which step was not reached, and the pods' errors."""
        found = []
        if not self._replicas_ready():
            have, want = self._progress()
            found.append(f"{have} out of {want} replicas succeeded readiness checks")
        if not self._revision_ready():
            current, target = self._revisions()
            found.append(f'StatefulSet controller failed to advance from revision "{current}" to revision "{target}"')
        return [*found, *(text for _, text in self.trouble())]
