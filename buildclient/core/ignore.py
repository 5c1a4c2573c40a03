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
_QUOTED = frozenset(".+()$")
"""Taken literally in a pattern. `|`, `{` and `}` are not: patternmatcher 0.6 leaves them to the regular expression."""
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's strings.TrimSpace takes away; Python's strip takes U+001C to U+001F as well."""
_SYNTAX = "syntax error in pattern"


class PatternError(ValueError):
    """A pattern that cannot be read, in the words of Go's library."""


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
        for given in patterns:
            text = given.strip(_SPACE)
            if not text:
                continue
            text = _clean(text)
            exception = text.startswith("!")
            if exception:
                text = text[1:]
                if not text:
                    raise PatternError('illegal exclusion pattern: "!"')
            # All that is checked beforehand, as little as it is.
            glob_match(text, ".")
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
                name = name[end:]
                break
            if name[start : start + 1] == "/":
                return False
        else:
            return False
    return not name


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


def _tests(chunk: str) -> list[Callable[[str], bool]]:
    """One test for each character that a part of a pattern without stars matches. Raises PatternError."""
    tests: list[Callable[[str], bool]] = []
    at = 0
    while at < len(chunk):
        char = chunk[at]
        at += 1
        if char == "[":
            negated, ranges, at = _class(chunk, at)
            tests.append(lambda c, n=negated, r=ranges: n != any(low <= c <= high for low, high in r))  # type: ignore[misc]
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


def _matcher(kind: str, patterns: Sequence[str]) -> Matcher | None:
    if not patterns:
        return None
    try:
        return Matcher(patterns)
    except PatternError as error:
        raise PatternError(f"invalid {kind}patterns: [{' '.join(patterns)}]: {error}") from None


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
    # A byte that is no UTF-8 cannot stand in a class.
    if at + 1 >= len(text) or "\udc80" <= text[at] <= "\udcff":
        raise PatternError(_SYNTAX)
    return text[at], at + 1


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
        found = re.compile(_python(expression), re.ASCII).search
    except (re.error, PatternError):
        return _refuse
    return lambda path: found(path) is not None


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
                out.append("\\\\")
        elif char in "[]":
            out.append(char)
            kind = "regexp"
        else:
            out.append(char)
        first = False
    return kind, f"^{''.join(out)}$"


_ESCAPES = {**{char: f"\\{char}" for char in "afnrtvdDsSwWbBA"}, "z": r"\Z"}
"""Escapes of letters and digits that Go knows as well; all others are refused."""


def _python(expression: str) -> str:
    """Python's spelling of an expression of Go's: classes and escapes differ. Raises PatternError."""
    out, at = [], 0
    while at < len(expression):
        char = expression[at]
        at += 1
        if char == "\\":
            out.append(_escape(expression[at]))
            at += 1
        elif char == "[":
            end, spelled = _go_class(expression, at)
            out.append(spelled)
            at = end
        elif char == "$":
            # Python's would match before a newline at the end, too.
            out.append(r"\Z")
        elif char == "{" and expression[at : at + 1] == ",":
            # No repetition in Go.
            out.append(r"\{")
        else:
            out.append(char)
    return "".join(out)


def _escape(char: str) -> str:
    if not (char.isascii() and char.isalnum()):
        return re.escape(char)
    if char not in _ESCAPES:
        raise PatternError(_SYNTAX)
    return _ESCAPES[char]


def _go_class(text: str, at: int) -> tuple[int, str]:
    """Reads a class of Go's regexp after its `[`: where it ends, and Python's spelling."""
    out = ["[^" if text[at : at + 1] == "^" else "["]
    at += len(out[0]) - 1
    first = True
    while first or text[at : at + 1] != "]":
        first = False
        low, at = _go_member(text, at)
        out.append(low)
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            high, at = _go_member(text, at + 1)
            out.append(f"-{high}")
    return at + 1, "".join(out) + "]"


def _go_member(text: str, at: int) -> tuple[str, int]:
    if at >= len(text):
        raise PatternError(_SYNTAX)
    if text[at] != "\\":
        return re.escape(text[at]), at + 1
    if at + 1 >= len(text):
        raise PatternError(_SYNTAX)
    return _escape(text[at + 1]), at + 2
