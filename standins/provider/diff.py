"""The detailed diff between what the cluster holds and what the program wants. Pure.

The cluster fills in far more than a program sets. So the last known live object is pruned to the shape of the old
inputs, and that is compared with the new inputs: users see only fields they set, and drift in them after a refresh.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from standins.provider.objects import Object
from standins.provider.values import Unknown

__all__ = ["Change", "Kind", "Path", "changes", "ignored", "path_text", "prune", "replaces"]

Path = tuple[str | int, ...]


class Kind(Enum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Change:
    """One changed property."""

    path: Path
    kind: Kind
    value: Any
    """The new value; None where it is deleted."""


def prune(live: Any, shape: Any) -> Any:
    """`live` cut down to the keys and list positions that `shape` has; where types differ, `live` as it is."""
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: prune(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list):
        if live and shape and type(live[0]) is not type(shape[0]):
            return live
        return [prune(item, wanted) for item, wanted in zip(live, shape, strict=False)]
    return live


def changes(old: Object, new: Object) -> list[Change]:
    """Every changed property, at the deepest level at which both sides have one, sorted by path text."""
    return sorted(_mapping((), old, new), key=lambda change: path_text(change.path))


def _mapping(path: Path, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for key in old.keys() | new.keys():
        if key not in new:
            yield Change((*path, key), Kind.DELETE, None)
        elif key not in old:
            yield Change((*path, key), Kind.ADD, new[key])
        else:
            yield from _value((*path, key), old[key], new[key])


def _list(path: Path, old: list[Any], new: list[Any]) -> Iterator[Change]:
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        yield from _value((*path, index), before, after)
    for index in range(len(old), len(new)):
        yield Change((*path, index), Kind.ADD, new[index])
    for index in range(len(new), len(old)):
        yield Change((*path, index), Kind.DELETE, None)


def _value(path: Path, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _mapping(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list(path, old, new)
    elif isinstance(new, Unknown) or not _same(old, new):
        yield Change(path, Kind.UPDATE, new)


def _same(old: Any, new: Any) -> bool:
    # True == 1 in Python, not in Kubernetes.
    return isinstance(old, bool) is isinstance(new, bool) and bool(old == new)


def path_text(path: Path) -> str:
    """Pulumi's text for a property path: `spec.containers[0].env`, `data["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif any(mark in part for mark in '."[]'):
            quoted = part.replace('"', '\\"')
            text += f'["{quoted}"]'
        else:
            text += f".{part}" if text else part
    return text


_STEP = re.compile(r"\[\*\]|\[(\d+)\]|\[\"((?:[^\"\\]|\\.)*)\"\]|([^.\[\]]+)")


def parse_path(text: str) -> tuple[str | int | None, ...]:
    """The parts of a path text; `[*]` is None. Mistyped text gives the parts that can be read."""
    parts: list[str | int | None] = []
    for match in _STEP.finditer(text):
        index, quoted, name = match.groups()
        if index is not None:
            parts.append(int(index))
        elif quoted is not None:
            parts.append(quoted.replace('\\"', '"'))
        else:
            parts.append(name)
    return tuple(parts)


def replaces(change: Change, patterns: Iterable[str]) -> bool:
    """Whether the change touches one of the patterns: at it, below it, or by a value that contains it."""
    return any(_touches(change, parse_path(pattern)) for pattern in patterns)


def _touches(change: Change, pattern: tuple[str | int | None, ...]) -> bool:
    shared = min(len(change.path), len(pattern))
    for part, wanted in zip(change.path[:shared], pattern[:shared], strict=True):
        if wanted is None:
            if not isinstance(part, int):
                return False
        elif part != wanted:
            return False
    return _holds(change.value, pattern[shared:])


def _holds(value: Any, rest: tuple[str | int | None, ...]) -> bool:
    if not rest:
        return True
    if rest[0] is None:
        return isinstance(value, list) and any(_holds(item, rest[1:]) for item in value)
    return isinstance(value, dict) and rest[0] in value and _holds(value[rest[0]], rest[1:])


def ignored(change: Change, paths: Iterable[str]) -> bool:
    """Whether `ignoreChanges` covers the change: one of its paths is the change's path or a parent of it."""
    for text in paths:
        wanted = parse_path(text)
        head = change.path[: len(wanted)]
        if len(head) == len(wanted) and all(b is None or b in (a, "*") for a, b in zip(head, wanted, strict=True)):
            return True
    return False
