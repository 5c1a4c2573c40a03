"""Kinds whose readiness is one look at the object itself: claims and volumes, jobs, daemon sets, quotas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from standins.provider.await_.pod import qualified
from standins.provider.await_.readiness import Following, Message, condition, count, has_seen_generation
from standins.provider.objects import Object, dig

__all__ = ["ClaimReadiness", "JobReadiness", "SimpleReadiness", "daemon_set_ready", "quota_ready", "volume_ready"]


class SimpleReadiness(Following):
    """Ready when a predicate holds of the live object."""

    def __init__(self, live: Object, predicate: Callable[[Object, Object], bool], waiting: str) -> None:
        super().__init__(live)
        self._predicate, self._waiting = predicate, waiting

    def ready(self, now: float) -> bool:
        """By the predicate, of the live object and the one we made."""
        return self.seen and not self.gone and self._predicate(self.live, self.wanted)

    def status(self) -> Sequence[Message]:
        """What is waited for."""
        return [] if self.ready(0.0) else [("info", self._waiting)]


class ClaimReadiness(Following):
    """A PersistentVolumeClaim: bound, or pending for good reason, as its class binds it only to its first pod."""

    def __init__(self, live: Object, *, late: bool, update: bool) -> None:
        super().__init__(live)
        self._late, self._update = late, update

    def _phase(self) -> str:
        return str(dig(self.live, "status", "phase", default=""))

    def ready(self, now: float) -> bool:
        """By its phase. On an update it is bound already, and stays so."""
        if not self.seen or self.gone:
            return False
        bound = self._phase() == "Bound"
        return bound if not self._late or (self._update and bound) else self._phase() == "Pending"

    def status(self) -> Sequence[Message]:
        """The phase."""
        if self.ready(0.0):
            return []
        return [("info", f"Waiting for PersistentVolumeClaim to be bound (phase: {self._phase() or 'unknown'})")]

    def problems(self) -> Sequence[str]:
        """The phase it is stuck in."""
        return [f"PersistentVolumeClaim is not bound: phase {self._phase() or 'unknown'}"]


class JobReadiness(Following):
    """A Job: ready when it is complete."""

    def _failure(self) -> str:
        held = condition(self.live, "Failed")
        if held.get("status") == "True" and held.get("reason") in ("BackoffLimitExceeded", "DeadlineExceeded"):
            return f"[{held['reason']}] {held.get('message', '')}"
        return ""

    def ready(self, now: float) -> bool:
        """By its condition `Complete`."""
        return self.seen and not self.gone and condition(self.live, "Complete").get("status") == "True"

    def status(self) -> Sequence[Message]:
        """How many pods are in which state."""
        if dig(self.live, "status", "startTime") is None:
            return [("info", f'Waiting for Job "{qualified(self.live)}" to start')]
        numbers = [count(self.live, "status", field) for field in ("active", "succeeded", "failed")]
        progress = "(Active: {} | Succeeded: {} | Failed: {})".format(*numbers)
        return [] if self.ready(0.0) else [("info", f'Waiting for Job "{qualified(self.live)}" to succeed {progress}')]

    def trouble(self) -> Sequence[Message]:
        """Why it failed."""
        return [("error", self._failure())] if self._failure() else []

    def problems(self) -> Sequence[str]:
        """Why it failed."""
        return [self._failure()] if self._failure() else []


def volume_ready(live: Object, wanted: Object) -> bool:
    """A PersistentVolume can be used."""
    return dig(live, "status", "phase") in ("Available", "Bound")


def quota_ready(live: Object, wanted: Object) -> bool:
    """A ResourceQuota is in force."""
    return bool(dig(live, "spec", "hard") == dig(live, "status", "hard"))


def daemon_set_ready(live: Object, wanted: Object) -> bool:
    """Every node that shall have a pod has one, new and available."""
    if not has_seen_generation(live, wanted):
        return False
    fields = ("updatedNumberScheduled", "numberAvailable")
    return all(count(live, "status", field) >= count(live, "status", "desiredNumberScheduled") for field in fields)
