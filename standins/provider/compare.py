"""Diff: what changed, and whether that replaces the object, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from standins.provider.checkpoint import manifest, normalized, parse
from standins.provider.cluster import Cluster
from standins.provider.diff import Change, Kind, changes, ignored, path_text, prune, replaces
from standins.provider.errors import NoMatch, StatusError, Unreachable
from standins.provider.names import AUTONAMED
from standins.provider.objects import Object, is_true, name_of, namespace_of
from standins.provider.replace_table import replacing_paths

__all__ = ["Verdict", "compared"]

REPLACE_UNREADY = "pulumi.com/replaceUnready"


@dataclass
class Verdict:
    """The outcome of a comparison."""

    changes: list[tuple[str, Change, bool]] = field(default_factory=list)
    """Path text, the change, whether it replaces."""
    replaces: list[str] = field(default_factory=list)
    delete_first: bool = False


def compared(cluster: Cluster, state: dict[str, Any], news: dict[str, Any], ignore: Sequence[str], urn: str) -> Verdict:
    """The new inputs against the last known live object."""
    old_inputs, live = parse(state)
    inputs = normalized(manifest(news))
    base = _comparable(prune(live, normalized(old_inputs)), live, inputs)
    _align_namespaces(base, inputs, namespaced=cluster.namespaced(inputs))
    patterns = replacing_paths(
        inputs,
        mutable_config_maps=cluster.settings.mutable_config_maps,
        mutable_secrets=cluster.settings.mutable_secrets,
    )
    verdict = Verdict()
    for change in changes(base, inputs):
        if ignored(change, ignore):
            continue
        replacing = replaces(change, patterns)
        verdict.changes.append((path_text(change.path), change, replacing))
        if replacing or (change.path == ("metadata",) and change.kind is Kind.DELETE):
            verdict.replaces.append(path_text(change.path))
    _consider_unready(cluster, inputs, live, verdict, urn)
    verdict.delete_first = bool(verdict.replaces) and _keeps_name(inputs, live)
    return verdict


def _comparable(base: Object, live: Object, inputs: Object) -> Object:
    for key in ("apiVersion", "kind"):
        base.setdefault(key, inputs.get(key))
    metadata = base.setdefault("metadata", {})
    metadata.pop("resourceVersion", None)
    if name_of(inputs):
        metadata["name"] = name_of(live)
    return base


def _align_namespaces(base: Object, inputs: Object, *, namespaced: bool) -> None:
    for target in (base, inputs):
        metadata = target.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            continue
        if namespaced:
            metadata["namespace"] = metadata.get("namespace") or "default"
        else:
            metadata.pop("namespace", None)


def _keeps_name(inputs: Object, live: Object) -> bool:
    """A name that the program chose and keeps: two such objects can't be there at once."""
    if not name_of(inputs) or is_true(inputs, AUTONAMED):
        return False
    return name_of(inputs) == name_of(live) and namespace_of(inputs) == namespace_of(live)


def _consider_unready(cluster: Cluster, inputs: Object, live: Object, verdict: Verdict, urn: str) -> None:
    """`replaceUnready`: a Job that has not succeeded is replaced even if nothing changed."""
    if not is_true(inputs, REPLACE_UNREADY):
        return
    if inputs.get("kind") != "Job":
        cluster.log.say(urn, "warning", "replaceUnready annotation is not supported for this resource")
        return
    try:
        current = cluster.client.get(live)
    except (StatusError, NoMatch, Unreachable):
        return
    conditions = current.get("status", {}).get("conditions") or []
    if not any(held.get("type") == "Complete" and held.get("status") == "True" for held in conditions):
        verdict.replaces.append(f'.metadata.annotations["{REPLACE_UNREADY}"]')
