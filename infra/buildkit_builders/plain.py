"""Finds what is known only while Pulumi runs in args that have to be known in a preview."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any

import pulumi

from buildkit_builders.options.problems import Problems

__all__ = ["plain_args"]

_REFUSED = "give a plain value, not an Output: names and the shape of the stack follow from it, in a preview too"
_HINT = "config.require instead of require_secret; of another resource, the value that it was given"
_MOST_LEVELS = 50


def plain_args(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """`raw` without what is an Output, an awaitable or a resource, at any depth; each becomes a problem at its place.

    A list with such an element is left out whole, so that the others keep their places in further problems.
    """
    found = _plain(raw, problems, 0)
    return found if isinstance(found, dict) else {}


def _plain(value: Any, problems: Problems, level: int) -> Any:
    if isinstance(value, pulumi.Output | pulumi.Resource) or isawaitable(value):
        problems.add(None, _REFUSED, _HINT)
        return None
    if level < _MOST_LEVELS and isinstance(value, Mapping):
        kept = {key: _plain(one, problems.at(str(key)), level + 1) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None or value[key] is None}
    if level < _MOST_LEVELS and isinstance(value, list | tuple):
        items = [_plain(one, problems.at(f"[{n}]"), level + 1) for n, one in enumerate(value)]
        missing = any(kept is None and one is not None for kept, one in zip(items, value, strict=True))
        return None if missing else items
    return value
