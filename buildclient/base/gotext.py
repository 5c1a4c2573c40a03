"""Booleans, quotes and JSON as Go's standard library reads and writes them (strconv, encoding/json)."""

from __future__ import annotations

import json
from typing import Any

from buildclient.contract.patterns import pattern

__all__ = ["go_json", "go_quoted", "is_bool", "parse_bool"]

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_SHORT = {'"': '\\"', "\\": "\\\\"}
_SHORT |= {sign: f"\\{name}" for sign, name in zip("\a\b\f\n\r\t\v", "abfnrtv", strict=True)}
_SURROGATE = pattern("[\ud800-\udfff]")
_RAW = 0xDC00
"""Offset of the code points that stand for bytes that are not UTF-8 (`surrogateescape`)."""
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str, default: bool = False) -> bool:
    """Parses as Go's ParseBool does; returns `default` for a text that is not a boolean."""
    return True if text in _TRUE else False if text in _FALSE else default


def is_bool(text: str) -> bool:
    """Returns whether Go's ParseBool accepts the text."""
    return text in _TRUE or text in _FALSE


def go_quoted(text: str) -> str:
    """Quotes a text as Go's `%q` does; bytes that are not UTF-8 are given as surrogate escapes."""
    return '"' + "".join(_SHORT.get(sign) or _visible(sign) for sign in text) + '"'


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
    """Encodes JSON as Go does: compact unless indented, with `<`, `>`, `&`, U+2028 and U+2029 escaped.

    What is no UTF-8 becomes U+FFFD, byte by byte.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
