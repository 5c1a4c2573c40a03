"""Booleans and JSON as Go's standard library reads and writes them (strconv.ParseBool, encoding/json)."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["go_json", "is_bool", "parse_bool"]

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str, default: bool = False) -> bool:
    """Go's ParseBool; `default` for what is no boolean."""
    return True if text in _TRUE else False if text in _FALSE else default


def is_bool(text: str) -> bool:
    """Whether Go's ParseBool takes it."""
    return text in _TRUE or text in _FALSE


def go_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text as Go's encoder writes it: compact unless indented, `<`, `>`, `&`, U+2028 and U+2029 escaped."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
