"""Booleans, quotes and JSON as Go's standard library reads and writes them (strconv, encoding/json)."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["go_json", "go_quoted", "is_bool", "parse_bool", "printable"]

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_SHORT = {'"': '\\"', "\\": "\\\\"}
_SHORT |= {sign: f"\\{name}" for sign, name in zip("\a\b\f\n\r\t\v", "abfnrtv", strict=True)}
_RAW = 0xDC00
"""What Python adds to a byte that is not UTF-8 (`surrogateescape`)."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Also what turns the direction of writing, and what no encoding has."""
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str, default: bool = False) -> bool:
    """Go's ParseBool; `default` for a text that is not a boolean."""
    return True if text in _TRUE else False if text in _FALSE else default


def is_bool(text: str) -> bool:
    """Whether Go's ParseBool takes it."""
    return text in _TRUE or text in _FALSE


def go_quoted(text: str) -> str:
    """A text as Go's `%q` writes it; bytes that are not UTF-8 come in as surrogate escapes."""
    return '"' + "".join(_SHORT.get(sign) or _visible(sign) for sign in text) + '"'


def printable(text: str) -> str:
    """A text of several lines that does nothing else to a terminal: all other control characters are escaped."""
    return _CONTROL.sub(lambda match: _visible(match[0]), text.replace("\r\n", "\n"))


def _visible(sign: str) -> str:
    if sign.isprintable():
        return sign
    code = ord(sign)
    if _RAW <= code < _RAW + 0x100:
        code -= _RAW
    elif code > 0x7F:
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return f"\\x{code:02x}"


def go_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text as Go's encoder writes it: compact unless indented, `<`, `>`, `&`, U+2028 and U+2029 escaped."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
