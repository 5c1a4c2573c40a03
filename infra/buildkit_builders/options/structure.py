"""Options that hold part of a pod's manifest: mappings and lists, checked against the fields that Kubernetes has.

A shape says which fields there may be: `str`, `int`, `bool`, `ANY`, `[shape]` for a list, `{"field": shape}` for a
mapping. A field whose name ends with `!` must be there. As text, the value is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from buildkit_builders.options.problems import InvalidValue, nearest
from buildkit_builders.options.values import boolean, integer, text_of

__all__ = ["ANY", "Shape", "plain", "read_json", "structure"]

Shape = Any
ANY: Shape = object()
"""Whatever there is; the apiserver checks it."""
_LONGEST = 64 * 1024
"""Of one option, in characters of JSON; etcd stores objects of 1.5 MiB at most."""
_MOST_LEVELS = 20
_LARGEST = 2**63
_WHOLE = integer(-_LARGEST, _LARGEST - 1)


def structure(shape: Shape, example: str) -> Callable[[object], Any]:
    """A parser of values of that shape, or their JSON. It raises InvalidValue, which names the field at fault."""

    def parse(raw: object) -> Any:
        what = "list" if isinstance(shape, list) else "mapping"
        return _fit(plain(read_json(raw, f"give a {what}, or its JSON as text, such as {example}")), shape, "")

    return parse


def read_json(raw: object, allowed: str) -> object:
    """`raw`, or what it says if it is a text: JSON. Raises InvalidValue for any other text, and for too long a one."""
    if not isinstance(raw, str):
        return raw
    if len(raw) > _LONGEST:
        raise InvalidValue(f"give at most {_LONGEST // 1024} KiB")
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidValue(allowed) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def plain(value: object) -> Any:
    """A copy of a value in JSON's own types; 2.0, which Pulumi makes of 2, is 2. Raises InvalidValue for others."""
    copy = _plain(value, 0)
    if len(json.dumps(copy)) > _LONGEST:
        raise InvalidValue(f"give at most {_LONGEST // 1024} KiB")
    return copy


def _plain(value: object, level: int) -> Any:
    if level > _MOST_LEVELS:
        raise InvalidValue(f"it is more than {_MOST_LEVELS} levels deep")
    if isinstance(value, Mapping):
        return {_plain(str(key), level): _plain(one, level + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, level + 1) for one in value]
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise InvalidValue("give a number", given=str(value))
        value = int(value) if value.is_integer() else value
    if isinstance(value, int | float) and not -_LARGEST <= value < _LARGEST:
        raise InvalidValue("give numbers of 64 bits")
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= char <= "\udfff" for char in value)):
        raise InvalidValue("give text that UTF-8 can hold, without NUL", given=value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidValue("give texts, numbers, booleans, lists and mappings", given=value)


def _fit(value: Any, shape: Shape, path: str) -> Any:
    where = path.lstrip(".") or "it"
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise InvalidValue(f"{where} must be a list", given=value)
        return [_fit(one, shape[0], f"{path}[{n}]") for n, one in enumerate(value)]
    if isinstance(shape, dict):
        return _fit_mapping(value, shape, path, where)
    if shape is ANY:
        return value
    try:
        return {str: lambda raw: text_of(raw, ""), int: _WHOLE, bool: boolean}[shape](value)
    except InvalidValue as error:
        kind = {str: "a string", int: "a whole number", bool: "true or false"}[shape]
        raise InvalidValue(f"{where} must be {kind}", error.hint, given=value) from None


def _fit_mapping(value: Any, shape: Mapping[str, Shape], path: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"{where} must be a mapping", given=value)
    fields = {name.rstrip("!"): one for name, one in shape.items()}
    for name in value:
        if name not in fields:
            near = nearest(name, fields)
            hint = f'did you mean "{near}"?' if near else f"known: {', '.join(fields)}"
            raise InvalidValue(f"{where} has no such field" if path else "there is no such field", hint, given=name)
    for name in shape:
        if name.endswith("!") and value.get(name[:-1]) in (None, ""):
            raise InvalidValue(f"{where} needs {name[:-1]}", given=value)
    return {name: _fit(one, fields[name], f"{path}.{name}") for name, one in value.items()}
