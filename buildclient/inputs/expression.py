"""The regular expressions that moby/patternmatcher makes of patterns: read as Go reads them, matched in bounded time.

Their atoms are characters, classes, `(.*/)?` and places (`^`, `\\b`); each may be repeated, none is nested. So a text
is matched without backtracking: a set of positions, one bit each in an integer, is moved on by one step of the
expression after the other. All positions move at once, and a repetition is one addition, whose carry runs through the
characters that it may cross. That takes time in proportion to expression and text.

Python's `re` is faster for usual patterns (`**/*.go`), but backtracks: it is used where that is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from buildclient.contract.patterns import pattern

__all__ = ["QUICK", "ExpressionError", "matcher"]

_MAX_REPEAT = 1000
"""Go's limit of a repetition's numbers."""
QUICK = 256
"""Characters of a text up to which backtracking over two `*` or two `**` is still fast."""


class ExpressionError(ValueError):
    """An expression that Go refuses, or one of the few that Go takes and this module does not (`\\pL`, `\\Q`)."""


class _Chars(NamedTuple):
    """A set of characters."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


class _Step(NamedTuple):
    """One atom of an expression and how often it comes."""

    what: _Chars | str
    """A set of characters, or _FOLDERS, or a place: `^`, `$`, `b` and `B`."""
    least: int = 1
    most: int | None = 1
    """None is without end."""


_FOLDERS: Final = "(.*/)?"
_NO_NEWLINE = _Chars((("\n", "\n"),), negated=True)
_PLACES = {"A": "^", "z": "$", "b": "b", "B": "B"}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CLASSES = {
    "d": (("0", "9"),),
    "s": (("\t", "\n"), ("\f", "\r"), (" ", " ")),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
}
_POSIX = {
    "alnum": "09AZaz", "alpha": "AZaz", "ascii": "\0\x7f", "blank": "\t\t  ", "cntrl": "\0\x1f\x7f\x7f", "digit": "09",
    "graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ",
    "word": "09AZaz__", "xdigit": "09AFaf",
}  # fmt: skip
_REPEAT = pattern(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_NUMBER = pattern(r"(0[0-7]{0,2}|[1-7][0-7]{1,2})|x([0-9A-Fa-f]{2}|\{[0-9A-Fa-f]+\})")
_LAST = 0x10FFFF
_WORD = _Chars(_CLASSES["w"])


def matcher(expression: str, quick: int = QUICK) -> Callable[[str], bool]:
    """A test of whether an expression is found in a text; `re` takes texts of up to `quick` characters.

    Raises ExpressionError.
    """
    branches = _Reader(expression).branches()
    found = _search(branches)

    def matches(text: str) -> bool:
        if found is not None and len(text) <= quick:
            return found(text) is not None
        columns = _columns(text)
        return any(_reaches(branch, text, columns) for branch in branches)

    return matches


class _Reader:
    """Reads an expression; `at` is where the next character stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def branches(self) -> list[list[_Step]]:
        """What stands between the `|`, one of which has to be found."""
        found: list[list[_Step]] = [[]]
        repeated = False
        while self._at < len(self._text):
            steps = found[-1]
            repeat = self._repeat()
            if repeat is None:
                atom = self._atom()
                if atom is None:
                    found.append([])
                else:
                    steps.append(atom)
                repeated = atom is not None and atom.what == _FOLDERS
            elif repeated or not steps:
                raise ExpressionError("invalid or missing argument to repetition operator")
            else:
                steps[-1] = steps[-1]._replace(least=repeat[0], most=repeat[1])
                repeated = True
        return found

    def _next(self, size: int = 1) -> str:
        found = self._text[self._at : self._at + size]
        self._at += size
        return found

    def _sees(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _repeat(self) -> tuple[int, int | None] | None:
        if self._sees("*"):
            self._at += 1
            return 0, None
        found = _REPEAT.match(self._text, self._at)
        if not found:
            return None
        self._at = found.end()
        low, comma, high = found.groups()
        # Compared by length first: `int` refuses thousands of digits.
        if any(len(number) > 4 for number in (low, high or "")):
            raise ExpressionError("invalid repeat count")
        least = int(low)
        most = int(high) if high else None if comma else least
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise ExpressionError("invalid repeat count")
        return least, most

    def _atom(self) -> _Step | None:
        """The next atom; None for a `|`."""
        if self._sees(_FOLDERS):
            self._at += len(_FOLDERS)
            return _Step(_FOLDERS)
        char = self._next()
        if char == "|":
            return None
        if char in "^$":
            return _Step(char)
        if char == ".":
            return _Step(_NO_NEWLINE)
        if char == "[":
            return _Step(self._class())
        if char == "\\":
            if self._text[self._at : self._at + 1] in _PLACES:
                return _Step(_PLACES[self._next()])
            return _Step(_Chars(self._escape()))
        return _Step(_Chars(((char, char),)))

    def _escape(self) -> tuple[tuple[str, str], ...]:
        """The ranges of what is behind a backslash."""
        number = _NUMBER.match(self._text, self._at)
        if number:
            self._at = number.end()
            octal, hexadecimal = number.group(1), (number.group(2) or "").strip("{}")
            code = int(octal, 8) if octal else int(hexadecimal, 16)
            if code > _LAST:
                raise ExpressionError("invalid escape sequence")
            return ((chr(code), chr(code)),)
        char = self._next()
        if char in _CONTROLS:
            char = _CONTROLS[char]
        elif char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return ranges if char.islower() else _complement(ranges)
        elif not char or char.isalnum() or not char.isascii():
            raise ExpressionError("invalid escape sequence")
        return ((char, char),)

    def _class(self) -> _Chars:
        negated = self._sees("^")
        self._at += negated
        ranges: list[tuple[str, str]] = []
        first = True
        while first or not self._sees("]"):
            first = False
            posix = self._posix()
            if posix is not None:
                ranges += posix
                continue
            member = self._member()
            if len(member) == 1 and member[0][0] == member[0][1] and self._sees("-") and not self._sees("-]"):
                self._at += 1
                (low, _), high = member[0], self._member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][1] < low:
                    raise ExpressionError("invalid character class range")
                member = ((low, high[0][1]),)
            ranges += member
        self._at += 1
        return _Chars(tuple(ranges), bool(negated))

    def _member(self) -> tuple[tuple[str, str], ...]:
        char = self._next()
        if not char:
            raise ExpressionError("missing closing ]")
        return self._escape() if char == "\\" else ((char, char),)

    def _posix(self) -> list[tuple[str, str]] | None:
        end = self._text.find(":]", self._at + 2)
        if not self._sees("[:") or end < 0:
            return None
        name = self._text[self._at + 2 : end]
        self._at = end + 2
        ends = _POSIX.get(name.removeprefix("^"))
        if ends is None:
            raise ExpressionError("invalid character class range")
        ranges = tuple(zip(ends[::2], ends[1::2], strict=True))
        return list(_complement(ranges) if name.startswith("^") else ranges)


def _complement(ranges: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """All other characters."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if start < ord(low):
            found.append((chr(start), chr(ord(low) - 1)))
        start = ord(high) + 1
    return (*found, (chr(start), chr(_LAST)))


def _search(branches: Sequence[Sequence[_Step]]) -> Callable[[str], object] | None:
    """Python's search for an expression of a few `*` and `**`; None for what may make it go back too often."""
    stars = folders = 0
    spelled = []
    if len(branches) != 1:
        return None
    for what, least, most in branches[0]:
        if (least, most) not in ((1, 1), (0, None)) or what in ("b", "B"):
            return None
        repeated = most is None
        if what == _FOLDERS:
            spelled.append("(?:.*/)?")
        elif isinstance(what, str):
            spelled.append(r"\A" if what == "^" else r"\Z")
        else:
            spelled.append(_spelled(what))
        spelled.append("*" if repeated else "")
        across = what == _FOLDERS or (repeated and isinstance(what, _Chars) and what.has("/"))
        folders += across
        stars += repeated and not across
    if stars > 2 or folders > 2 or stars + folders > 3:
        return None
    return re.compile("".join(spelled)).search


def _spelled(chars: _Chars) -> str:
    if not chars.negated and len(chars.ranges) == 1 and chars.ranges[0][0] == chars.ranges[0][1]:
        return re.escape(chars.ranges[0][0])
    ranges = (re.escape(low) + (f"-{re.escape(high)}" if high != low else "") for low, high in chars.ranges)
    return f"[{'^' if chars.negated else ''}{''.join(ranges)}]"


@lru_cache(maxsize=4)
def _columns(text: str) -> Mapping[str, int]:
    """Where each character of a text stands, one bit a position."""
    found: dict[str, int] = {}
    for at, char in enumerate(text):
        found[char] = found.get(char, 0) | 1 << at
    return found


def _reaches(steps: Sequence[_Step], text: str, columns: Mapping[str, int]) -> bool:
    """Whether one branch is found in a text; bit n of the positions is the place before character n."""
    size = len(text)
    masks: dict[_Chars, int] = {}

    def mask(chars: _Chars) -> int:
        if chars not in masks:
            masks[chars] = sum(bits for char, bits in columns.items() if chars.has(char))
        return masks[chars]

    positions = (1 << size + 1) - 1
    for what, least, most in steps:
        if isinstance(what, _Chars):
            positions = _repeated(positions, mask(what), least, most, size)
        elif what == _FOLDERS:
            positions |= (_across(positions, mask(_NO_NEWLINE)) & columns.get("/", 0)) << 1
        elif least:
            positions &= _place(what, mask, size)
        if not positions:
            return False
    return True


def _repeated(positions: int, chars: int, least: int, most: int | None, size: int) -> int:
    for _ in range(least):
        positions = (positions & chars) << 1
        if not positions:
            return 0
    if most is None or most - least >= size:
        return _across(positions, chars)
    ahead = positions
    for _ in range(most - least):
        ahead = (ahead & chars) << 1
        if not ahead:
            break
        positions |= ahead
    return positions


def _across(positions: int, chars: int) -> int:
    """The positions, and all that lie behind them over characters of a set: the sum's carry runs through those."""
    return (((positions & chars) + chars) ^ chars) | positions


def _place(what: str, mask: Callable[[_Chars], int], size: int) -> int:
    """The positions of the start, the end, or of what is (not) a word's edge."""
    if what == "^":
        return 1
    if what == "$":
        return 1 << size
    words = mask(_WORD)
    edges = words ^ (words << 1)
    return edges if what == "b" else ~edges & ((1 << size + 1) - 1)
