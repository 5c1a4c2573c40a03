"""The interface of the state machines, and what they share. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from standins.provider.objects import Object, dig, name_of

__all__ = ["Message", "Readiness", "Source", "condition", "count", "has_seen_generation"]

Message = tuple[str, str]
"""Severity (info, warning, error) and text."""


@dataclass(frozen=True)
class Source:
    """A collection to watch in the object's namespace."""

    api_version: str
    kind: str
    name: str = ""
    """Only the object of this name."""
    labels: str = ""
    """Only objects this label selector matches."""

    def query(self) -> dict[str, str]:
        """The selectors as the API's query parameters."""
        found = {"fieldSelector": f"metadata.name={self.name}" if self.name else "", "labelSelector": self.labels}
        return {key: value for key, value in found.items() if value}


class Readiness(Protocol):
    """Follows one object until it is ready."""

    live: Object
    """The newest version seen."""

    def sources(self) -> Sequence[Source]:
        """What to watch."""

    def observe(self, event: str, target: Object, now: float) -> None:
        """Takes in an event: `ADDED`, `MODIFIED` or `DELETED`, and the object."""

    def ready(self, now: float) -> bool:
        """Whether it is ready, at this time (seconds of any clock that only grows)."""

    def wake_at(self) -> float | None:
        """When `ready` may change without an event; None: never."""

    def status(self) -> Sequence[Message]:
        """What to show now."""

    def trouble(self) -> Sequence[Message]:
        """What to show besides when it takes long."""

    def problems(self) -> Sequence[str]:
        """What stands in the way, said when the wait ends in vain."""


def selector_text(labels: Any) -> str:
    """A label selector's `matchLabels` as a query; expressions are left to the owner references."""
    return ",".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else ""


def condition(target: Object, kind: str) -> dict[str, Any]:
    """The status condition of a type; empty if the object has none."""
    conditions: Iterable[dict[str, Any]] = dig(target, "status", "conditions", default=None) or []
    return next((held for held in conditions if held.get("type") == kind), {})


def count(target: Object, *path: str, default: int = 0) -> int:
    """A whole number at a path."""
    value = dig(target, *path, default=default)
    return value if isinstance(value, int) else default


def has_seen_generation(target: Object, wanted: Object) -> bool:
    """Whether `target` is as new as `wanted`, and its controller has seen it: else its status is about the past."""
    generation = count(target, "metadata", "generation")
    return generation >= count(wanted, "metadata", "generation") and generation == count(
        target, "status", "observedGeneration", default=-1
    )


class Following:
    """What most kinds share: following one object by name."""

    def __init__(self, live: Object) -> None:
        self.live = live
        self.wanted = live
        self.seen = False
        self.gone = False

    def sources(self) -> Sequence[Source]:
        """Watches the object itself."""
        return [Source(self.live["apiVersion"], self.live["kind"], name=name_of(self.live))]

    def observe(self, event: str, target: Object, now: float) -> None:
        """Keeps the newest version that is not older than the one we made."""
        if target.get("kind") != self.wanted.get("kind") or name_of(target) != name_of(self.wanted):
            return
        if count(target, "metadata", "generation") < count(self.wanted, "metadata", "generation"):
            return
        self.gone = event == "DELETED"
        if not self.gone:
            self.live, self.seen = target, True

    def wake_at(self) -> float | None:
        """Only events matter."""
        return None

    def status(self) -> Sequence[Message]:
        """Nothing to show."""
        return []

    def trouble(self) -> Sequence[Message]:
        """Nothing to add."""
        return []

    def problems(self) -> Sequence[str]:
        """Nothing to say."""
        return []
