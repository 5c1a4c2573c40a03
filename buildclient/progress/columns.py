"""How wide a text is on a terminal, and as much of it as fits."""

from __future__ import annotations

from buildclient.contract.patterns import pattern

__all__ = ["bare", "cut", "width"]

_CONTROL = pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]")
_NO_WIDTH = ("Mn", "Me", "Cf")
"""Categories of characters that take no column: marks on the one before, and joiners."""


def width(text: str) -> int:
    """Columns that a terminal needs for a text without control characters (Unicode UAX #11)."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, room: int) -> str:
    """As much of a text as fits into so many columns; `…` stands for the rest."""
    if len(text) <= room // 2 or width(text) <= room:
        return text
    if room <= 0:
        return ""
    taken = 0
    for number, sign in enumerate(text):
        taken += _columns(sign)
        if taken > room - 1:
            return f"{text[:number]}…"
    return text


def bare(text: str) -> str:
    """Text that moves no cursor and has no colours."""
    return text if text.isprintable() else _CONTROL.sub("", text.expandtabs())


def _columns(sign: str) -> int:
    if sign.isascii():
        return 1
    from unicodedata import category, east_asian_width

    return 0 if category(sign) in _NO_WIDTH else 2 if east_asian_width(sign) in "WF" else 1
