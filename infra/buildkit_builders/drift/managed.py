"""Who set which field of a Kubernetes object, from its `metadata.managedFields`. Pure.

The API server keeps an entry for each manager, operation and subresource, with its fields as a tree (FieldsV1):
`f:name` is a field, `k:{…}` an element of a list by its key fields, `v:…` an element of a set, and an empty node one
value, whose parts have no owners of their own (Kubernetes, "Server-Side Apply").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "Entry",
    "Key",
    "Part",
    "child_of",
    "element",
    "entries_of",
    "handed_over",
    "list_keys",
    "owner_of",
    "path_text",
]

_OURS = ("pulumi-kubernetes", "pulumi-resource-kubernetes")
"""Managers of Pulumi's provider: the name of a create, and what the name of an object's own manager begins with."""
_HANDS = ("kubectl", "k9s", "oc", "curl", "Mozilla")
"""Managers that are people: what their tools call themselves. A manager is the first word of a client's user agent, or
what it says itself, such as `kubectl-edit`."""
_AUTOSCALERS = ("kube-controller-manager", "keda", "keda-operator")
"""Managers of `spec.replicas` that are autoscalers: the HorizontalPodAutoscaler's controller, and KEDA."""
_MAX_ENTRIES = 1000
_TEXTS = ("manager", "operation", "subresource", "time")


class Key(NamedTuple):
    """An element of a list, by its key fields, or of a set, by its value (whose name is empty)."""

    fields: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return "/".join(str(value) for _, value in self.fields)

    def matches(self, item: Any) -> bool:
        """Whether an element is the one; key fields that it leaves out are taken as equal."""
        if self.fields and not self.fields[0][0]:
            return bool(item == self.fields[0][1])
        return isinstance(item, Mapping) and all(item.get(name, value) == value for name, value in self.fields)


Part = str | int | Key
"""A step into an object: a field, an index of a list that is one value, an element of another list."""


class Entry(NamedTuple):
    """What one manager set."""

    manager: str
    operation: str
    subresource: str
    time: str
    """RFC 3339; empty where the API server keeps none, as for the subresource `scale`."""
    fields: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether Pulumi's provider set these."""
        return self.manager.startswith(_OURS)

    @property
    def is_hand(self) -> bool:
        """Whether a person did, by kubectl or the like."""
        return any(self.manager == name or self.manager.startswith(f"{name}-") for name in _HANDS)

    @property
    def is_autoscaler(self) -> bool:
        """Whether an autoscaler did."""
        return self.subresource == "scale" and self.manager in _AUTOSCALERS


def entries_of(live: Any) -> list[Entry]:
    """The entries of an object; what is malformed is left out."""
    metadata = live.get("metadata") if isinstance(live, Mapping) else None
    listed = metadata.get("managedFields") if isinstance(metadata, Mapping) else None
    entries = []
    for one in (listed if isinstance(listed, list) else ())[:_MAX_ENTRIES]:
        if isinstance(one, Mapping) and isinstance(one.get("fieldsV1"), Mapping):
            manager, operation, subresource, time = (str(one.get(name) or "") for name in _TEXTS)
            entries.append(Entry(manager, operation, subresource, time, one["fieldsV1"]))
    return entries


def handed_over(listed: Iterable[Any], manager: str) -> list[Any]:
    """An object's `managedFields` after what people set has passed to `manager`, whose operation is Update. A copy."""
    kept: list[Any] = []
    passed: dict[str, dict[str, Any]] = {}
    for one in listed:
        entry = next(iter(entries_of({"metadata": {"managedFields": [one]}})), None)
        own = entry is not None and entry.manager == manager and entry.operation == "Update"
        if entry is None or entry.subresource or not (own or entry.is_hand):
            kept.append(one)
            continue
        version = str(one.get("apiVersion"))
        passed.setdefault(version, {**one, "manager": manager, "operation": "Update", "fieldsV1": {}})
        _unite(passed[version]["fieldsV1"], entry.fields)
    return [*passed.values(), *kept]


def _unite(target: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, node in other.items():
        if isinstance(node, Mapping):
            _unite(target.setdefault(name, {}), node)
        else:
            target.setdefault(name, node)


def owner_of(entries: Iterable[Entry], path: tuple[Part, ...]) -> Entry | None:
    """Who set a field last: another than Pulumi's provider if there is one."""
    owners = [entry for entry in entries if _owns(entry.fields, path)]
    return max(owners, key=lambda entry: (not entry.is_ours, entry.time), default=None)


def _owns(fields: Mapping[str, Any], path: tuple[Part, ...]) -> bool:
    node: Any = fields
    for part in path:
        if node is not fields and not node:
            return True
        node = child_of(node, part)
        if node is None:
            return False
    return True


def child_of(node: Any, part: Part) -> Any:
    """The node of a tree's field or element; None if there is none."""
    if not isinstance(node, Mapping) or isinstance(part, int):
        return None
    if isinstance(part, str):
        return node.get(f"f:{part}")
    return next((child for name, child in node.items() if (key := element(name)) and _same(key, part)), None)


def _same(one: Key, other: Key) -> bool:
    wanted = dict(other.fields)
    return all(wanted.get(name, value) == value for name, value in one.fields)


def element(name: str) -> Key | None:
    """The list element that a node's name stands for; None for a field, or text that is neither."""
    kind, _, text = name.partition(":")
    if kind not in ("k", "v"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if kind == "v":
        return Key((("", value),))
    return Key(tuple(sorted(value.items()))) if isinstance(value, dict) and value else None


def list_keys(nodes: Iterable[Any]) -> tuple[str, ...] | None:
    """The key fields of a list, from the nodes that managers have at it: `("",)` for a set, None for one value."""
    for node in nodes:
        for name in node if isinstance(node, Mapping) else ():
            if key := element(name):
                return tuple(field for field, _ in key.fields)
    return None


def path_text(path: Iterable[Part]) -> str:
    """A path for people: `spec.template.spec.containers[buildkitd].env[FOO]`, `data["a.b"]`."""
    text = ""
    for part in path:
        if not isinstance(part, str):
            text += f"[{part}]"
        elif not part or any(sign in part for sign in '."[]/'):
            text += f"[{json.dumps(part)}]"
        else:
            text += f".{part}" if text else part
    return text
