"""Makes of what an operation saw: the drift of a stack, what an update would take back, what it has to take back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from buildclient.kube.api import KubeApi
from buildkit_builders.apis import ApiOf
from buildkit_builders.drift.compare import Field
from buildkit_builders.drift.observed import Sight
from buildkit_builders.drift.repair import repairable
from buildkit_builders.recorded import PROVIDER_TYPE
from buildkit_builders.results import Drift, Events, Step
from buildkit_builders.scaled import is_autoscaled

__all__ = ["drift_of", "planned", "provider_inputs", "to_repair"]

_MARK = "4dabf18193072939515e22adb298388d"
"""Pulumi's key of a secret in a state; `plaintext` is beside it in an export with secrets."""


def drift_of(stack: str, events: Events, api_of: ApiOf) -> Drift:
    """The drift that a refresh found."""
    drift: list[Field] = []
    others: list[Field] = []
    explained: set[str] = set()
    for urn, sight in events.observed.found.items():
        here, beside = sight.differences()
        for field in beside:
            # Only a declared field has two sides: the replicas that an autoscaler set, as far as it is there still.
            gone = field.ours is not None and not _is_autoscaled(sight, api_of(sight.provider))
            (drift if gone else others).append(field)
            if field.ours is not None and not gone and not here:
                explained.add(urn)
        drift += here
    steps = tuple(step for step in events.steps(without=explained) if step.operation != "read")
    return Drift(stack, steps, tuple(drift), tuple(others))


def planned(events: Events) -> tuple[Step, ...]:
    """What an update would change, with what it takes back beside Pulumi's own steps."""
    changed = {urn for _, urn in events.step_keys()}
    fields: list[Field] = []
    for urn, sight in _left(events).items():
        if urn not in changed:
            fields += repairable(sight)
        elif urn in events.observed.found:
            found = repairable(events.observed.found[urn])
            fields += [field for field in found if field.change == "added"]
    return events.steps_with(fields)


def to_repair(events: Events) -> list[Sight]:
    """The objects that an update left with fields set by hand."""
    return [sight for sight in _left(events).values() if repairable(sight)]


def _left(events: Events) -> dict[str, Sight]:
    """The objects as an operation leaves them, beside what was recorded of them before it looked at the cluster."""
    found = events.observed.found
    return {
        urn: sight._replace(recorded=found[urn].recorded) if urn in found and found[urn].live else sight
        for urn, sight in events.observed.left.items()
    }


def _is_autoscaled(sight: Sight, api: KubeApi | None) -> bool:
    which = sight.object
    return is_autoscaled(api, which.kind, which.namespace, which.name, sight.live)


def provider_inputs(exported: str) -> dict[str, dict[str, Any]]:
    """Kubernetes providers' inputs by URN, from what `pulumi stack export --show-secrets` prints; {} for other text."""
    try:
        resources = json.loads(exported)["deployment"]["resources"]
        listed = [one for one in resources if one["type"] == PROVIDER_TYPE]
        return {
            str(one["urn"]): {key: _plain(value) for key, value in dict(one.get("inputs") or {}).items()}
            for one in listed
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping) and _MARK in value:
        return json.loads(value["plaintext"])
    return value
