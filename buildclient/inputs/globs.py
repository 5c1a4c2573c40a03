"""The two pattern languages of .dockerignore and COPY, as Go reads them.

* `glob_match` is Go's filepath.Match, which followed paths use, and which checks an ignore pattern beforehand.
* `compile_pattern` is moby/patternmatcher, which turns a pattern into a regular expression of Go's: that is made
  here with all its oddities, and matched by `expression`.

Patterns come from a Dockerfile's author and from the daemon: whatever they are, matching takes time in proportion to
pattern and path.

Held to Go's own answers by tests/unit/data/context_filter.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from buildclient.inputs.expression import ExpressionError, matcher

__all__ = ["PatternError", "compile_pattern", "glob_match"]

_QUOTED = frozenset(".+()$")
"""Taken literally in a pattern. `|`, `{` and `}` are not: patternmatcher 0.6 leaves them to the regular expression."""
_SYNTAX = "syntax error in pattern"


class PatternError(ValueError):
    """A pattern that cannot be read, in the words of Go's library."""


def glob_match(pattern: str, name: str) -> bool:
    """Go's filepath.Match: `*`, `?`, classes and escapes, none of them across a slash.

    Raises PatternError for what is malformed before the first part that does not match; Go reads no further.
    """
    rest = pattern
    while rest:
        star, chunk, rest = _chunk(rest)
        if star and not chunk:
            return "/" not in name
        tests = _tests(chunk)
        for start in range(len(name) + 1) if star else (0,):
            end = start + len(tests)
            fits = end <= len(name) if rest else end == len(name)
            if fits and all(test(char) for test, char in zip(tests, name[start:end], strict=True)):
                # The first place will do: what a later one leads to, the next star reaches from here as well.
                name = name[end:]
                break
            if name[start : start + 1] == "/":
                return False
        else:
            return False
    return not name


@lru_cache(maxsize=1024)
def _chunk(pattern: str) -> tuple[bool, str, str]:
    """Whether a pattern starts with stars, what is between them and the next, and the rest."""
    text = pattern.lstrip("*")
    at, inside = 0, False
    while at < len(text):
        char = text[at]
        if char == "*" and not inside:
            break
        if char in "[]":
            inside = char == "["
        at += 2 if char == "\\" else 1
    return text != pattern, text[:at], text[at:]


@lru_cache(maxsize=1024)
def _tests(chunk: str) -> Sequence[Callable[[str], bool]]:
    """One test for each character that a part of a pattern without stars matches. Raises PatternError."""
    tests: list[Callable[[str], bool]] = []
    at = 0
    while at < len(chunk):
        char = chunk[at]
        at += 1
        if char == "[":
            negated, ranges, at = _class(chunk, at)
            tests.append(partial(_in_class, negated, ranges))
            continue
        if char == "?":
            tests.append("/".__ne__)
            continue
        if char == "\\":
            char = chunk[at : at + 1]
            at += 1
            if not char:
                raise PatternError(_SYNTAX)
        tests.append(char.__eq__)
    return tests


def _class(text: str, at: int) -> tuple[bool, list[tuple[str, str]], int]:
    """Reads a class of filepath.Match after its `[`: whether it is negated, its ranges, and where it ends."""
    negated = text[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or text[at : at + 1] != "]":
        low, at = _member(text, at)
        high = low
        if text[at] == "-":
            high, at = _member(text, at + 1)
        ranges.append((low, high))
    return negated, ranges, at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    """A character of a class, and where the next stands; something has to follow it."""
    if text[at : at + 1] in ("", "-", "]"):
        raise PatternError(_SYNTAX)
    at += text[at] == "\\"
    # A byte that is not UTF-8 cannot be in a class.
    if at + 1 >= len(text) or "\udc80" <= text[at] <= "\udcff":
        raise PatternError(_SYNTAX)
    return text[at], at + 1


def _in_class(negated: bool, ranges: Sequence[tuple[str, str]], char: str) -> bool:
    return negated != any(low <= char <= high for low, high in ranges)


def compile_pattern(text: str) -> Callable[[str], bool]:
    """The quickest test of whole paths that says what a pattern of moby/patternmatcher says.

    A pattern whose regular expression cannot be read raises PatternError when it is first tested.
    """
    kind, expression = _translate(text)
    if kind == "exact":
        return text.__eq__
    if kind == "prefix":
        start = text[:-2]
        return lambda path: path.startswith(start)
    if kind == "suffix":
        end = text[2:]
        bare = end[1:] if end.startswith("/") else None
        return lambda path: path.endswith(end) or path == bare
    try:
        return matcher(expression)
    except ExpressionError:
        return _refuse


def _refuse(path: str) -> bool:
    raise PatternError(_SYNTAX)


def _translate(text: str) -> tuple[str, str]:
    """Kind of a pattern (exact, prefix, suffix, regexp) and its regular expression."""
    kind, out, at, first = "exact", [], 0, True
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*" and text[at : at + 1] == "*":
            at += 1
            if text[at : at + 1] == "/":
                at += 1
            if at == len(text):
                if kind == "exact":
                    kind = "prefix"
                else:
                    out.append(".*")
                    kind = "regexp"
            else:
                out.append("(.*/)?")
                kind = "regexp"
            if first:
                kind = "suffix"
        elif char == "*":
            out.append("[^/]*")
            kind = "regexp"
        elif char == "?":
            out.append("[^/]")
            kind = "regexp"
        elif char in _QUOTED:
            out.append("\\" + char)
        elif char == "\\":
            if at < len(text):
                out.append("\\" + text[at])
                at += 1
                kind = "regexp"
            else:
                # It quotes the `$` behind it, so that the end is anywhere.
                out.append("\\")
        elif char in "[]":
            out.append(char)
            kind = "regexp"
        else:
            out.append(char)
        first = False
    return kind, f"^{''.join(out)}$"
