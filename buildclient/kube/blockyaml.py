"""The YAML that kubectl and its like write, read without a YAML library.

Own code because importing PyYAML takes a tenth of a client's start. It reads block mappings and sequences of scalars on
one line; whatever else YAML has, it refuses, and the library reads it. Tests hold both to the same values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from buildclient.contract.patterns import pattern

__all__ = ["read_block_yaml"]

_DEPTH = 50
"""Levels of lists and objects."""
_LINE = pattern(
    r"( *)((?:- +)*)(?:(-)|([A-Za-z][A-Za-z0-9._/-]*):(?: +([!-~](?:[ -~]*[!-~])?))?|([!-~](?:[ -~]*[!-~])?)) *"
)
"""Indent; dashes; a dash alone, or a key with its value if it has one, or a text."""
_DASH = pattern(r"- +")
_PLAIN = pattern(r"(?:--?)?[A-Za-z/][!-~]*(?: +[!-~]+)*")
_QUOTED = pattern(r"\"([^\"\\]*)\"|'([^']*)'")
_WORDS = {"true": True, "false": False, "null": None}
_RESOLVED = frozenset(("yes", "no", "on", "off", "y", "n", *_WORDS))
"""Words that are more than text, in whatever case."""


class _Part(NamedTuple):
    """A key with its value, the dash of an item (no key), or an item's text (neither)."""

    indent: int
    key: str
    text: str
    dash: bool = False


def read_block_yaml(text: str) -> Any:
    """Returns the value of a YAML text. Raises ValueError for one that is not as plain as kubectl writes it."""
    parts = _parts(text)
    value, after = _block(parts, 0, 0)
    if after != len(parts):
        raise ValueError("lines that belong to nothing")
    return value


def _parts(text: str) -> list[_Part]:
    parts = []
    for number, line in enumerate(text.split("\n")):
        if not line.strip(" ") or line.lstrip(" ").startswith("#") or (number == 0 and line == "---"):
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError("a line that is not plain")
        indent = len(found[1])
        for dash in _DASH.finditer(found[2]):
            parts.append(_Part(indent, "", "", dash=True))
            indent += len(dash[0])
        if found[3]:
            parts.append(_Part(indent, "", "", dash=True))
        elif found[4]:
            parts.append(_Part(indent, found[4], found[5] or ""))
        elif not found[2]:
            raise ValueError("a text without a key")
        else:
            parts.append(_Part(indent, "", found[6]))
    return parts


def _block(parts: list[_Part], at: int, depth: int) -> tuple[Any, int]:
    """Reads the mapping or sequence that begins at a part; returns it, and where the next one begins."""
    if at == len(parts) or depth > _DEPTH:
        raise ValueError("nothing to read")
    if parts[at].dash:
        return _sequence(parts, at, depth)
    if not parts[at].key:
        raise ValueError("a text over several lines")
    return _mapping(parts, at, depth)


def _sequence(parts: list[_Part], at: int, depth: int) -> tuple[list[Any], int]:
    indent = parts[at].indent
    items: list[Any] = []
    while at < len(parts) and parts[at].indent == indent and parts[at].dash:
        at += 1
        if at == len(parts) or parts[at].indent <= indent:
            raise ValueError("an empty item")
        if parts[at].dash or parts[at].key:
            item, at = _block(parts, at, depth + 1)
        else:
            item, at = _scalar(parts[at].text), at + 1
        items.append(item)
        if at < len(parts) and parts[at].indent > indent:
            raise ValueError("a line that is too deep")
    return items, at


def _mapping(parts: list[_Part], at: int, depth: int) -> tuple[dict[str, Any], int]:
    indent = parts[at].indent
    values: dict[str, Any] = {}
    while at < len(parts) and parts[at].indent == indent and parts[at].key:
        key, text = parts[at].key, parts[at].text
        if key.lower() in _RESOLVED:
            raise ValueError("a key that is more than text")
        at += 1
        below = at < len(parts) and (parts[at].indent > indent or (parts[at].indent == indent and parts[at].dash))
        if text:
            value = _scalar(text)
        elif below:
            value, at = _block(parts, at, depth + 1)
        else:
            value = None
        values[key] = value
        if at < len(parts) and (parts[at].indent > indent or (parts[at].indent == indent and not parts[at].key)):
            raise ValueError("a line that is too deep")
    return values, at


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text == "{}":
        return {}
    if text == "[]":
        return []
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1] if quoted[1] is not None else quoted[2]
    if not _PLAIN.fullmatch(text) or text.lower() in _RESOLVED or ": " in text or " #" in text or text.endswith(":"):
        raise ValueError("a text that is not plain")
    return text
