"""Merges a patch into a manifest: RFC 7386, but lists whose items have names are merged item by item."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ["merged"]

# The merge keys of core/v1 PodSpec and Container (their patchMergeKey in Kubernetes' types.go).
_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "imagePullSecrets": "name", "resourceClaims": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath",
    "hostAliases": "ip", "ports": "containerPort", "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
_DIRECTIVE = "$patch"


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
