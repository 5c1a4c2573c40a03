"""Merges a patch into a manifest, and finds one: RFC 7386, but lists whose items have names are taken item by item."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ["differing", "merged"]

# The merge keys of core/v1 PodSpec and Container (their patchMergeKey in Kubernetes' types.go).
_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "imagePullSecrets": "name", "resourceClaims": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath",
    "hostAliases": "ip", "ports": "containerPort", "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
_DIRECTIVE = "$patch"
_SAME = object()
"""No difference: a patch may be any value."""


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` with the patch in it; neither is changed."""
    result = {name: deepcopy(value) for name, value in base.items() if name not in patch}
    for name, value in patch.items():
        if name == _DIRECTIVE or value is None:
            continue
        before = base.get(name)
        if isinstance(value, Mapping):
            result[name] = merged(before if isinstance(before, Mapping) else {}, value)
        elif (key := _KEYS.get(name)) and isinstance(value, list) and all(_has(one, key) for one in value):
            result[name] = _merged_items(before if isinstance(before, list) else [], value, key)
        else:
            result[name] = deepcopy(value)
    # a field keeps its place
    order = [name for name in (*base, *patch) if name in result]
    return {name: result[name] for name in dict.fromkeys(order)}


def _merged_items(before: list[Any], patches: list[Any], key: str) -> list[Any]:
    by_key = {one[key]: one for one in patches}
    result = []
    for item in before:
        patch = by_key.pop(item.get(key), None) if isinstance(item, Mapping) else None
        if patch is None:
            result.append(deepcopy(item))
        elif patch.get(_DIRECTIVE) != "delete":
            result.append(merged(item, patch))
    return result + [merged({}, one) for one in by_key.values() if one.get(_DIRECTIVE) != "delete"]


def _has(item: Any, key: str) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(key), str | int)


def differing(made: Mapping[str, Any], there: Mapping[str, Any], *, by_name: bool = True) -> dict[str, Any]:
    """The patch that makes of `made` what is `there`; empty for no difference.

    Without `by_name` it is one of RFC 7386, as the API server takes it: every list is replaced as a whole.
    """
    found = _difference(made, there, _KEYS if by_name else {}, "")
    return {} if found is _SAME else dict(found)


def _difference(made: Any, there: Any, keys: Mapping[str, str], key: str) -> Any:
    if isinstance(made, Mapping) and isinstance(there, Mapping):
        patch: dict[str, Any] = {}
        for name in dict.fromkeys([*made, *there]):
            if name not in there:
                patch[name] = None
            elif name not in made:
                patch[name] = there[name]
            elif (inner := _difference(made[name], there[name], keys, name)) is not _SAME:
                patch[name] = inner
        return patch or _SAME
    named = keys.get(key)
    if named and _are_named(made, named) and _are_named(there, named):
        return _items(made, there, keys, named)
    return _SAME if made == there else there


def _items(made: list[Any], there: list[Any], keys: Mapping[str, str], named: str) -> Any:
    before, after = ({one[named]: one for one in listed} for listed in (made, there))
    items: list[Any] = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            items.append({named: name, _DIRECTIVE: "delete"})
        elif name not in before:
            items.append(after[name])
        elif (inner := _difference(before[name], after[name], keys, "")) is not _SAME:
            items.append({named: name, **inner})
    return items or _SAME


def _are_named(items: Any, key: str) -> bool:
    """Whether it is a list in which every item has another name."""
    return (
        isinstance(items, list) and all(_has(one, key) for one in items) and len({o[key] for o in items}) == len(items)
    )
