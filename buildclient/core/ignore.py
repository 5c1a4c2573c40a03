"""Which paths of a context are sent: the rules of moby/patternmatcher and of fsutil's filter.

The daemon reads .dockerignore itself and asks with exclude patterns; here they are only matched. Rules:

* Later patterns win; `!` takes back what earlier ones excluded; `**` crosses folders, `*` and `?` do not.
* A pattern that matched a folder matches all below it, so each folder hands its results to its children.
* Only when no exception can match below an excluded folder is it skipped whole.

Paths are texts made of raw bytes with `surrogateescape`, so a name that is no UTF-8 has one character a byte.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["ROOT", "Filter", "Matcher", "PatternError", "Verdict", "glob_match"]

_GLOB = frozenset("*[]?^\\")
_QUOTED = frozenset(".+()|{}$")


class PatternError(ValueError):
    """A pattern that cannot be read."""


class Pattern(NamedTuple):
    """One cleaned pattern, without its `!`."""

    text: str
    exception: bool
    matches: Callable[[str], bool]

    @property
    def stem(self) -> str:
        """The pattern without one trailing `/**` and one trailing `/*`."""
        return self.text.removesuffix("/**").removesuffix("/*")


class Matcher:
    """A list of patterns, matched in order."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises PatternError for a lone `!` and for brackets or escapes that do not end."""
        self.patterns: list[Pattern] = []
        for given in patterns:
            text = given.strip()
            if not text:
                continue
            text = _clean(text)
            exception = text.startswith("!")
            if exception:
                text = text[1:]
                if not text:
                    raise PatternError('illegal exclusion pattern: "!"')
            _check(text)
            self.patterns.append(Pattern(text, exception, _compile(text)))
        self.has_exceptions = any(pattern.exception for pattern in self.patterns)

    def match(self, path: str, parent: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
        """Whether a path matches, and what its children must be told.

        `parent` is what its folder was told, or None for a path whose folder was not asked; its folders'
        names are then matched too.
        """
        matched = False
        info = [False] * len(self.patterns)
        for number, pattern in enumerate(self.patterns):
            found = bool(parent) and parent[number]  # type: ignore[index]
            if not found:
                # An inclusion cannot match twice, an exception has nothing to take back yet.
                if pattern.exception != matched:
                    continue
                found = pattern.matches(path)
                if not found and not parent:
                    found = any(pattern.matches(folder) for folder in _folders(path))
            info[number] = found
            if found:
                matched = not pattern.exception
        return matched, tuple(info)


class Verdict(NamedTuple):
    """What the filter says of one path."""

    send: bool
    descend: bool
    """Whether anything below a folder may be sent."""
    include: tuple[bool, ...] | None
    exclude: tuple[bool, ...] | None


ROOT = Verdict(True, True, None, None)


class Filter:
    """Include and exclude patterns together, asked folder by folder from the root."""

    def __init__(self, includes: Sequence[str] = (), excludes: Sequence[str] = ()) -> None:
        """Raises PatternError."""
        self._include = Matcher(includes) if includes else None
        self._exclude = Matcher(excludes) if excludes else None
        self._plain_includes = _plain(self._include, exceptions=False)
        self._plain_exceptions = _plain(self._exclude, exceptions=True)

    @property
    def passes_all(self) -> bool:
        """Whether there is nothing to match."""
        return self._include is None and self._exclude is None

    def verdict(self, path: str, parent: Verdict, *, folder: bool) -> Verdict:
        """Judges a path; `parent` is the verdict of its folder (ROOT at the top)."""
        send = descend = True
        include = exclude = None
        if self._include is not None:
            matched, include = self._include.match(path, parent.include)
            if not matched:
                send = False
                if folder and self._plain_includes:
                    descend = _reaches(self._include, path, exceptions=False)
        if self._exclude is not None and descend:
            matched, exclude = self._exclude.match(path, parent.exclude)
            if matched:
                send = False
                if folder and self._plain_exceptions:
                    descend = _reaches(self._exclude, path, exceptions=True)
        return Verdict(send, descend and folder, include, exclude)


def glob_match(pattern: str, name: str) -> bool:
    """Go's filepath.Match for one name without slashes: `*`, `?`, classes and escapes. Raises PatternError."""
    _check(pattern)
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            at += 1
            out.append(re.escape(pattern[at]))
        elif char == "[":
            end = _check_class(pattern, at + 1)
            out.append(pattern[at:end].replace("[", "\\[").replace("\\[", "[", 1))
            at = end - 1
        else:
            out.append(re.escape(char))
        at += 1
    return re.fullmatch("".join(out), name, re.DOTALL) is not None


def _reaches(matcher: Matcher, folder: str, *, exceptions: bool) -> bool:
    """Whether a pattern of the asked kind names something below a folder (all such patterns are plain paths)."""
    prefix = folder + "/"
    return any(
        (pattern.stem + "/").startswith(prefix) for pattern in matcher.patterns if pattern.exception == exceptions
    )


def _plain(matcher: Matcher | None, *, exceptions: bool) -> bool:
    if matcher is None:
        return False
    return not any(_GLOB & set(p.stem) for p in matcher.patterns if p.exception == exceptions)


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _clean(text: str) -> str:
    """Go's filepath.Clean, which differs from posixpath only in a double leading slash."""
    cleaned = posixpath.normpath(text)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _check(text: str) -> None:
    """Refuses what Go's filepath.Match refuses: `[` without its `]`, empty ranges, a lone `\\` at the end."""
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            if at > len(text):
                raise PatternError(f"syntax error in pattern: {text}")
        elif text[at] == "[":
            at = _check_class(text, at + 1)
        else:
            at += 1


def _check_class(text: str, at: int) -> int:
    if text[at : at + 1] == "^":
        at += 1
    first = True
    while True:
        if text[at : at + 1] == "]" and not first:
            return at + 1
        for _ in range(2):
            if at >= len(text) or text[at] in "-]":
                raise PatternError(f"syntax error in pattern: {text}")
            at += 2 if text[at] == "\\" else 1
            if at >= len(text):
                raise PatternError(f"syntax error in pattern: {text}")
            if text[at] != "-":
                break
            at += 1
        first = False


def _compile(text: str) -> Callable[[str], bool]:
    """The quickest test that says what the pattern says."""
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
        found = re.compile(expression).match
    except re.error:
        raise PatternError(f"syntax error in pattern: {text}") from None
    return lambda path: found(path) is not None


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
                out.append("\\\\")
        elif char in "[]":
            out.append(char)
            kind = "regexp"
        else:
            out.append(char)
        first = False
    return kind, "".join(out) + r"\Z"
