"""What differs between an object as a stack declares it and as it is in the cluster, field by field. Pure.

A declared field that has another value is drift, whoever set it; only `spec.replicas` is left to an autoscaler. A field
that is not declared is drift if a person set it. Lists are compared as the API server merges them, by the keys in
`managedFields`; others as one value.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from buildkit_builders.about import ABOUT
from buildkit_builders.drift.managed import (
    Entry,
    Key,
    Part,
    child_of,
    element,
    entries_of,
    list_keys,
    owner_of,
    path_text,
)
from buildkit_builders.options.quantity import parse_quantity

__all__ = ["Field", "Object", "compare", "deleted", "mended"]

_SECRET = "[secret]"
"""What Pulumi's events have in the place of a secret, which may be a whole pod template: nothing is known of it."""
_REPLICAS = ("spec", "replicas")
_BOOKKEEPING = frozenset(["status", "metadata", "apiVersion", "kind"])
# What kubectl notes of its own doings; taking back a restart would be another one. And what people note of a builder.
_NOTES = ABOUT | frozenset(
    [
        "deployment.kubernetes.io/revision",
        "kubectl.kubernetes.io/last-applied-configuration",
        "kubectl.kubernetes.io/restartedAt",
        "kubernetes.io/change-cause",
    ]
)
_QUANTITIES = frozenset(["requests", "limits", "hard", "capacity"])


class Object(NamedTuple):
    """An object of the stack."""

    urn: str
    kind: str
    namespace: str
    """Empty for one without."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Field(NamedTuple):
    """A field that differs, or the object itself."""

    object: Object
    change: str
    """`changed`, `removed`, `added`; of the object itself `deleted`, `replaced`."""
    path: str
    """Such as `spec.template.spec.containers[buildkitd].image`; empty for the object itself."""
    ours: Any
    """What the stack says; None if it says nothing."""
    there: Any
    """What the cluster has; None if it has nothing."""
    manager: str = ""
    """Who set it, by the API server's record (`metadata.managedFields`); empty where that has none."""
    subresource: str = ""
    since: str = ""
    """When that manager last wrote, in RFC 3339; empty where the API server keeps no time, as for a scale."""
    parts: tuple[Part, ...] = ()
    """The path, by its parts."""

    def to_json(self) -> dict[str, Any]:
        """The field for machines."""
        said = self._asdict()
        del said["parts"]
        return {**said, "object": self.object._asdict()}


class Differences(NamedTuple):
    """How an object differs."""

    drift: tuple[Field, ...]
    others: tuple[Field, ...]
    """What is not drift: fields that a program set beside the stack's, and those that are an autoscaler's."""


def deleted(which: Object) -> Field:
    """The drift of an object that is gone."""
    return Field(which, "deleted", "", None, None)


def compare(
    which: Object, ours: Mapping[str, Any], live: Mapping[str, Any], recorded: Mapping[str, Any]
) -> Differences:
    """The differences of an object: `ours` as declared, `live` as it is, `recorded` as it was when last recorded."""
    entries = entries_of(live)
    trees = [entry.fields for entry in entries]
    drift: list[Field] = []
    others: list[Field] = []
    replaced = _uid(recorded) != _uid(live) if _uid(recorded) and _uid(live) else False
    if replaced:
        drift.append(_replaced(which, recorded, live, entries))
    for parts, mine, there in _declared(ours, live, (), trees):
        owner = owner_of(entries, parts)
        field = _field(which, "removed" if there is None else "changed", parts, mine, there, owner)
        (others if parts == _REPLICAS and owner and owner.is_autoscaler else drift).append(field)
    seen = {field.parts for field in drift}
    for entry in entries:
        if entry.is_ours or entry.subresource:
            continue
        for parts, there in _beside(entry.fields, ours, live, ()):
            # What the API server filled in on creation is in the entry of whoever created the object.
            known = replaced and _at(recorded, parts) == there
            if not known and not _is_note(parts) and parts not in seen:
                seen.add(parts)
                field = _field(which, "added", parts, None, there, entry)
                (drift if entry.is_hand else others).append(field)
    return Differences(tuple(drift), tuple(others))


def mended(live: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    """The live object with the fields as declared: set, or taken away with whatever that leaves empty. A copy."""
    result = copy.deepcopy(dict(live))
    for field in fields:
        if field.parts:
            _put(result, field.parts, copy.deepcopy(field.ours))
    return result


def _uid(value: Mapping[str, Any]) -> Any:
    metadata = value.get("metadata")
    return metadata.get("uid") if isinstance(metadata, Mapping) else None


def _replaced(which: Object, recorded: Mapping[str, Any], live: Mapping[str, Any], entries: Sequence[Entry]) -> Field:
    maker = min((entry for entry in entries if not entry.subresource), key=lambda entry: entry.time, default=None)
    made = str(live["metadata"].get("creationTimestamp") or "")
    field = _field(which, "replaced", (), _uid(recorded), _uid(live), maker)
    return field._replace(since=made or field.since)


def _field(which: Object, change: str, parts: tuple[Part, ...], ours: Any, there: Any, owner: Entry | None) -> Field:
    # A field that is gone has no owner; and that ours alone has a changed one says nothing of who did it.
    told = (owner.manager, owner.subresource, owner.time) if owner and not owner.is_ours else ("", "", "")
    return Field(which, change, path_text(parts), ours, there, *told, parts)


def _declared(
    ours: Any, live: Any, path: tuple[Part, ...], trees: Sequence[Any]
) -> Iterator[tuple[tuple[Part, ...], Any, Any]]:
    """Where a declared value differs: path, declared, live."""
    if isinstance(ours, Mapping) and isinstance(live, Mapping):
        for name, value in ours.items():
            nodes = [child_of(tree, name) for tree in trees]
            if name not in live:
                if value not in (None, {}, [], ""):
                    yield (*path, name), value, None
            else:
                yield from _declared(value, live[name], (*path, name), nodes)
    elif isinstance(ours, list) and isinstance(live, list):
        yield from _declared_list(ours, live, path, trees)
    elif not _equal(ours, live, path):
        yield path, ours, live


def _declared_list(
    ours: list[Any], live: list[Any], path: tuple[Part, ...], trees: Sequence[Any]
) -> Iterator[tuple[tuple[Part, ...], Any, Any]]:
    keys = list_keys(trees)
    if keys is None:
        if len(ours) != len(live):
            yield path, ours, live
            return
        for index, (mine, there) in enumerate(zip(ours, live, strict=True)):
            yield from _declared(mine, there, (*path, index), [])
        return
    for mine in ours:
        key = _key(mine, keys)
        there = next((item for item in live if key.matches(item)), None)
        if there is None:
            yield (*path, key), mine, None
        else:
            yield from _declared(mine, there, (*path, key), [child_of(tree, key) for tree in trees])


def _key(item: Any, keys: tuple[str, ...]) -> Key:
    if keys == ("",) or not isinstance(item, Mapping):
        return Key((("", item),))
    return Key(tuple((name, item[name]) for name in sorted(keys) if name in item))


def _equal(ours: Any, there: Any, path: tuple[Part, ...]) -> bool:
    if _SECRET in (ours, there):
        return True
    if isinstance(ours, bool) is isinstance(there, bool) and ours == there:
        return True
    if not _QUANTITIES & {part for part in path if isinstance(part, str)}:
        return False
    try:
        return bool(parse_quantity(str(ours)) == parse_quantity(str(there)))
    except ValueError:
        return False


def _beside(node: Any, ours: Any, live: Any, path: tuple[Part, ...]) -> Iterator[tuple[tuple[Part, ...], Any]]:
    """What a manager's tree has and the stack does not declare: path and live value."""
    for name, child in node.items() if isinstance(node, Mapping) else ():
        part: Part | None = name.removeprefix("f:") if name.startswith("f:") else element(name)
        if part is None or not _may_be_declared((*path, part)):
            continue
        there, mine = _at(live, (part,)), _at(ours, (part,))
        here = (*path, part)
        if there is None or mine == _SECRET:
            continue
        if mine is None and (not child or isinstance(part, Key)):
            yield here, there
        elif child:
            yield from _beside(child, mine, there, here)
        elif isinstance(there, Mapping) and isinstance(mine, Mapping) and not str(part).endswith("Ref"):
            # A map that is one value, such as a nodeSelector. References have fields that the API server fills in.
            yield from (((*here, extra), value) for extra, value in there.items() if extra not in mine)


def _may_be_declared(path: tuple[Part, ...]) -> bool:
    if path[0] == "metadata":
        return len(path) == 1 or path[1] in ("labels", "annotations")
    return path[0] not in _BOOKKEEPING and path != _REPLICAS


def _is_note(path: tuple[Part, ...]) -> bool:
    return len(path) > 1 and path[-2] == "annotations" and path[-1] in _NOTES


def _at(value: Any, path: Sequence[Part]) -> Any:
    for part in path:
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, Mapping) else None
        elif isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = next((item for item in value if part.matches(item)), None) if isinstance(value, list) else None
    return value


def _put(holder: Any, path: tuple[Part, ...], value: Any) -> None:
    """Sets a value in a JSON tree, or takes it away where it is None."""
    part, rest = path[0], path[1:]
    if isinstance(part, Key):
        if isinstance(holder, list):
            _put_element(holder, part, rest, value)
        return
    inner = _at(holder, (part,))
    if rest:
        if inner is None and value is not None and isinstance(part, str) and isinstance(holder, dict):
            inner = holder[part] = [] if isinstance(rest[0], Key) else {}
        if inner is not None:
            _put(inner, rest, value)
            if value is None and not inner and isinstance(part, str):
                del holder[part]
    elif value is not None:
        holder[part] = value
    elif inner is not None:
        del holder[part]


def _put_element(holder: list[Any], key: Key, rest: tuple[Part, ...], value: Any) -> None:
    index = next((index for index, item in enumerate(holder) if key.matches(item)), None)
    if rest:
        if index is not None:
            _put(holder[index], rest, value)
    elif value is None:
        if index is not None:
            del holder[index]
    elif index is None:
        holder.append(value)
    else:
        holder[index] = value
