"""Server-side apply: who owns which field, and when to force. Pure.

What a client wrote is recorded in `metadata.managedFields`, an entry a manager, operation and subresource, the fields
as a tree of `f:name` keys.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from standins.provider.diff import parse_path
from standins.provider.objects import Object, dig, is_true

__all__ = ["PATCH_FORCE", "force", "merge_patch", "taken_over", "with_ignored"]

PATCH_FORCE: Final = "pulumi.com/patchForce"

# Manager prefix and operation of entries that pass to our manager: what people did with kubectl, and what was written
# before an object was applied for the first time (Create is a plain POST under the static name).
_TAKEN: Final = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    ("pulumi-kubernetes", "Update"),
    ("pulumi-resource-kubernetes", "Update"),
)
_OWN_UPDATES: Final = ("pulumi-kubernetes", "pulumi-resource-kubernetes")

Entry = dict[str, Any]


def _managed(live: Object) -> list[Entry]:
    return list(dig(live, "metadata", "managedFields", default=None) or [])


def taken_over(live: Object, manager: str) -> list[Entry] | None:
    """The managedFields after what passes to our manager has passed; None if nothing does.

    Entries of a subresource (`status`, `scale`) never pass.
    """
    entries = _managed(live)
    passing = [entry for entry in entries if _passes(entry, manager)]
    if not passing:
        return None
    own = next((entry for entry in entries if _is_own(entry, manager)), None)
    fields: dict[str, Any] = copy.deepcopy(own["fieldsV1"]) if own else {}
    for entry in passing:
        _unite(fields, entry.get("fieldsV1") or {})
    merged = {
        **(own or passing[0]),
        "manager": manager,
        "operation": "Apply",
        "fieldsV1": fields,
    }
    rest = [entry for entry in entries if entry not in passing and entry is not own]
    return [merged, *rest]


def _is_own(entry: Entry, manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")


def _passes(entry: Entry, manager: str) -> bool:
    if entry.get("subresource") or _is_own(entry, manager):
        return False
    name, operation = str(entry.get("manager", "")), entry.get("operation")
    return any(name.startswith(prefix) and operation == wanted for prefix, wanted in _TAKEN)


def _unite(target: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _unite(target[key], value)
        else:
            target.setdefault(key, copy.deepcopy(value))


def force(inputs: Object, live: Object | None, *, always: bool, preview: bool) -> bool:
    """Whether to overwrite what other managers own.

    A preview forces also while an entry of a plain create is there: a real update would take it over first, which a
    preview can't. An object without any entry is older than server-side apply.
    """
    if always or is_true(inputs, PATCH_FORCE):
        return True
    if live is None:
        return preview
    entries = _managed(live)
    if preview and any(e.get("operation") == "Update" and e.get("manager") in _OWN_UPDATES for e in entries):
        return True
    return not entries


def _owns(fields: dict[str, Any], path: Sequence[str]) -> bool:
    node: Any = fields
    for part in path:
        node = node.get(f"f:{part}") if isinstance(node, dict) else None
        if node is None:
            return False
    return True


def with_ignored(inputs: Object, live: Object, manager: str, ignore: Sequence[str]) -> Object:
    """Inputs with the fields of `ignoreChanges` as they shall be sent: left out where another manager owns them and
    we do not, else as they are in the cluster. A copy. Paths into lists are left as they are."""
    result = copy.deepcopy(inputs)
    for text in ignore:
        path = [part for part in parse_path(text) if isinstance(part, str)]
        if len(path) != len(parse_path(text)) or not path:
            continue
        entries = _managed(live)
        ours = any(_owns(e.get("fieldsV1") or {}, path) for e in entries if e.get("manager") == manager)
        theirs = any(_owns(e.get("fieldsV1") or {}, path) for e in entries if e.get("manager") != manager)
        if theirs and not ours:
            _remove(result, path)
        elif dig(live, *path) is not None:
            _set(result, path, copy.deepcopy(dig(live, *path)))
    return result


def _remove(target: Any, path: Sequence[str]) -> None:
    *parents, last = path
    holder = dig(target, *parents) if parents else target
    if isinstance(holder, dict):
        holder.pop(last, None)


def _set(target: Any, path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for part in parents:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            return
    target[last] = value


def merge_patch(old: Any, new: Any) -> Any:
    """A JSON merge patch from one object to another: the update of client-side apply."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif before != value:
            patch[key] = value
    return patch
