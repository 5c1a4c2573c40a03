"""JSON and YAML that others wrote, read within bounds: whatever is wrong with it, a ValueError says so."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from buildclient.contract.patterns import pattern

__all__ = ["MAX_DEPTH", "MAX_SIZE", "MAX_VALUES", "check_bounds", "read_json"]

MAX_SIZE = 64 << 20
"""Bytes or characters of a text."""
MAX_VALUES = 5_000_000
MAX_DEPTH = 200
"""Levels of lists and objects. Far below what Python's own calls bear, so that a value that was read can also be
written and compared."""

_HALF = pattern("[\ud800-\udfff]")
_HALF_ESCAPED = pattern(r"\\u[dD][89a-fA-F]")


def read_json(text: str | bytes, *, size: int = MAX_SIZE) -> Any:
    """The value of a JSON text (RFC 8259: without NaN and Infinity, which Python's reader would take).

    Half a surrogate pair, which no UTF-8 holds, becomes U+FFFD as in Go.
    Raises ValueError for what is no JSON, longer than `size`, nested deeper than MAX_DEPTH, or a number too large.
    """
    if len(text) > size:
        raise ValueError(f"it is larger than {size >> 20} MiB")
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        value = _DECODER.decode(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # Only a text with so many brackets can be that deep.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return _whole(value) if _HALF_ESCAPED.search(text) or _HALF.search(text) else value


def _check_depth(value: Any) -> None:
    """Raises ValueError for JSON nested deeper than MAX_DEPTH; by levels, which is quick for large values too."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if type(whole) is dict else whole)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def check_bounds(value: Any) -> None:
    """Raises ValueError for lists and objects nested deeper than MAX_DEPTH, as those that contain themselves are.

    So it does for more than MAX_VALUES, counted as if written out: an alias in YAML names a value that may hold
    aliases, and a text of a few lines can stand for more than fits into memory.
    """
    if _measure(value, 0, {})[0] > MAX_VALUES:
        raise ValueError("it is too large")


def _measure(value: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values there are in a value, and how many levels."""
    if not isinstance(value, dict | list):
        return 1, 0
    if depth >= MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    found = known.get(id(value))
    if found is None:
        parts = value.values() if isinstance(value, dict) else value
        inner = [_measure(part, depth + 1, known) for part in parts]
        found = 1 + sum(size for size, _ in inner), 1 + max((levels for _, levels in inner), default=0)
        known[id(value)] = found
    if depth + found[1] > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    return found


def _whole(value: Any) -> Any:
    """The value with texts that can be encoded."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {_HALF.sub("\ufffd", key): _whole(part) for key, part in value.items()}
    return value


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_no_number)
