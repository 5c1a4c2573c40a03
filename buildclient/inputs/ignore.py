"""Which paths of a context are sent: the rules of moby/patternmatcher and of fsutil's filter.

The daemon reads .dockerignore itself and asks with exclude patterns; here they are only matched. Rules:

* Later patterns win; `!` takes back what earlier ones excluded; `**` crosses folders, `*` and `?` do not.
* A pattern that matched a folder matches all below it, so each folder hands its results to its children.
* Only when no exception can match below an excluded folder is it skipped whole.

Paths are texts made of raw bytes with `surrogateescape`, so a name that is not UTF-8 has one character per byte.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import NamedTuple

from buildclient.inputs.globs import PatternError, compile_pattern, glob_match

__all__ = ["ROOT", "Filter", "Matcher", "Verdict"]

_MAX_PATTERNS, _MAX_LENGTH = 20_000, 4096
"""Patterns in a list, and characters in one of them (as in a path); a daemon that sends more is malicious."""
_GLOB = frozenset("*[]?^\\")
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's strings.TrimSpace takes away; Python's strip takes U+001C to U+001F as well."""


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
        """Raises PatternError for a lone `!` and for brackets or escapes that do not end.

        A pattern that only its regular expression cannot hold (`[z-a]`) is refused when it is first needed.
        """
        self.patterns: list[Pattern] = []
        if len(patterns) > _MAX_PATTERNS:
            raise PatternError(f"{len(patterns)} patterns are too many (more than {_MAX_PATTERNS})")
        for given in patterns:
            if len(given) > _MAX_LENGTH:
                raise PatternError(f"pattern of {len(given)} characters is too long (more than {_MAX_LENGTH})")
            text = given.strip(_SPACE)
            if not text:
                continue
            text = _clean(text)
            exception = text.startswith("!")
            if exception:
                text = text[1:]
                if not text:
                    raise PatternError('illegal exclusion pattern: "!"')
            # moby/patternmatcher validates no more than this up front.
            glob_match(text, ".")
            self.patterns.append(Pattern(text, exception, compile_pattern(text)))
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
        self._include = _matcher("include", includes)
        self._exclude = _matcher("exclude", excludes)
        self._plain_includes = _plain(self._include, exceptions=False)
        self._plain_exceptions = _plain(self._exclude, exceptions=True)

    @property
    def passes_all(self) -> bool:
        """Whether there is nothing to match."""
        return self._include is None and self._exclude is None

    def verdict(self, path: str, parent: Verdict, *, folder: bool) -> Verdict:
        """Judges a path; `parent` is the verdict of its folder (ROOT at the top). Raises PatternError."""
        send = descend = True
        include = exclude = None
        if self._include is not None:
            matched, include = _ask("include", self._include, path, parent.include)
            if not matched:
                send = False
                if folder and self._plain_includes:
                    descend = _reaches(self._include, path, exceptions=False)
        if self._exclude is not None and descend:
            matched, exclude = _ask("exclude", self._exclude, path, parent.exclude)
            if matched:
                send = False
                if folder and self._plain_exceptions:
                    descend = _reaches(self._exclude, path, exceptions=True)
        return Verdict(send, descend and folder, include, exclude)


def _matcher(kind: str, patterns: Sequence[str]) -> Matcher | None:
    if not patterns:
        return None
    try:
        return Matcher(patterns)
    except PatternError as error:
        shown = " ".join(patterns)
        if len(shown) > _MAX_LENGTH:
            shown = f"{shown[:_MAX_LENGTH]}…"
        raise PatternError(f"invalid {kind}patterns: [{shown}]: {error}") from None


def _ask(kind: str, matcher: Matcher, path: str, parent: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
    try:
        return matcher.match(path, parent)
    except PatternError as error:
        raise PatternError(f"failed to match {kind}patterns: {error}") from None


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
