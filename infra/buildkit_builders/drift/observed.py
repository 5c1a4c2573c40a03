"""The Kubernetes objects that a stack operation saw, from Pulumi's engine events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pulumi.automation import events as engine

from buildkit_builders.drift.compare import Differences, Object, compare, deleted

__all__ = ["Observed", "Sight"]

_TYPES = "kubernetes:"


class Sight(NamedTuple):
    """An object as an operation saw it."""

    object: Object
    inputs: Mapping[str, Any]
    """What the stack declares."""
    recorded: Mapping[str, Any]
    """The object when it was last recorded; empty for one that is new."""
    live: Mapping[str, Any]
    """The object in the cluster; empty if it is gone."""
    provider: str
    """The URN of the provider that it goes through."""

    def differences(self) -> Differences:
        """How it differs from what the stack declares."""
        if not self.live:
            return Differences((deleted(self.object),), ())
        return compare(self.object, self.inputs, self.live, self.recorded)


class Observed:
    """Gathers what the engine tells of Kubernetes objects."""

    def __init__(self) -> None:
        self._refreshing: set[str] = set()
        self.found: dict[str, Sight] = {}
        """By URN, as a refresh found them."""
        self.left: dict[str, Sight] = {}
        """By URN, as the operation leaves them."""

    def add(self, event: engine.EngineEvent) -> None:
        """Take one event."""
        before = event.resource_pre_event and event.resource_pre_event.metadata
        if before and before.type.startswith(_TYPES) and _word(before) == "refresh":
            self._refreshing.add(before.urn)
        after = event.res_outputs_event and event.res_outputs_event.metadata
        if not (after and after.type.startswith(_TYPES)):
            return
        if after.urn in self._refreshing:
            self._refreshing.discard(after.urn)
            if after.old:
                self._note(self.found, after, after.old.inputs)
        elif after.new and after.new.outputs:
            self._note(self.left, after, after.new.inputs)
        else:
            self.left.pop(after.urn, None)

    def _note(self, where: dict[str, Sight], step: engine.StepEventMetadata, inputs: Mapping[str, Any] | None) -> None:
        recorded = (step.old and step.old.outputs) or {}
        live = (step.new and step.new.outputs) or {}
        metadata = (live or recorded).get("metadata")
        if not isinstance(metadata, Mapping) or not inputs:
            return  # a chart, say: more than one object
        kind = str((live or recorded).get("kind") or "")
        which = Object(step.urn, kind, str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        provider = (step.provider or "").rpartition("::")[0]  # a provider's reference is its URN and its id
        where[step.urn] = Sight(which, inputs, recorded, live, provider)


def _word(step: engine.StepEventMetadata) -> str:
    return str(getattr(step.op, "value", step.op))
