"""Trees of objects (mappings, lists, named tuples), and where two of them differ. A path leads to a part of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Difference", "Path", "differences", "pick", "put"]

Path = tuple[str | int, ...]
_VARYING = ("namespace",)
"""Fields of named tuples that may differ; all others say which resources there are, and how they are registered."""


class Difference(NamedTuple):
    """Where two trees differ."""

    path: Path
    decides: str = ""
    """What of the structure differs there, in words; empty if only a value does."""
    fixed: bool = False
    """Whether that cannot be left to an Output, of whatever type."""


def differences(one: Any, other: Any, path: Path = ()) -> Iterator[Difference]:
    """Where two trees differ, as far in as they have the same parts."""
    if _is_record(one) and type(one) is type(other):
        for name in one._fields:
            yield from _in_record(getattr(one, name), getattr(other, name), (*path, name))
    elif isinstance(one, tuple) and isinstance(other, tuple):
        if len(one) != len(other):
            yield Difference(path, "which objects there are", True)
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from differences(left, right, (*path, number))
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            yield Difference(path, "which fields there are")
        else:
            for name in one:
                yield from differences(one[name], other[name], (*path, name))
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield Difference(path, "which fields there are")
        else:
            for number, (left, right) in enumerate(zip(one, other, strict=True)):
                yield from differences(left, right, (*path, number))
    elif one != other or type(one) is not type(other):
        parts = isinstance(one, Mapping | list) or isinstance(other, Mapping | list)
        yield Difference(path, "which fields there are" if parts else "")


def _in_record(one: Any, other: Any, path: Path) -> Iterator[Difference]:
    if isinstance(one, tuple | Mapping | list) or path[-1] in _VARYING:
        yield from differences(one, other, path)
    elif one != other:
        waits = dict.fromkeys(("ready_within", "updated_within", "gone_within"), "how long Pulumi waits for pods")
        told = {**waits, "kind": "the kind of the workload"}
        yield Difference(path, told.get(str(path[-1]), "the names of resources"), True)


def pick(tree: Any, path: Path) -> Any:
    """The part at `path`. Raises LookupError where there is none."""
    for step in path:
        tree = getattr(tree, str(step)) if _is_record(tree) else tree[step]
    return tree


def put(tree: Any, parts: Mapping[Path, Any]) -> Any:
    """A copy of the tree with the given parts in place of its own."""
    if () in parts:
        return parts[()]
    below: dict[str | int, dict[Path, Any]] = {}
    for path, part in parts.items():
        below.setdefault(path[0], {})[path[1:]] = part
    if not below:
        return tree
    if _is_record(tree):
        return tree._replace(**{str(name): put(getattr(tree, str(name)), inner) for name, inner in below.items()})
    if isinstance(tree, Mapping):
        return {name: put(one, below.get(name, {})) for name, one in tree.items()}
    items = [put(one, below.get(number, {})) for number, one in enumerate(tree)]
    return tuple(items) if isinstance(tree, tuple) else items


def _is_record(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")
