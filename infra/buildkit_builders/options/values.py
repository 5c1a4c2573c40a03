"""Parsers of single values: whole numbers, booleans, durations, names, image references, choices.

Each takes what was given, a text or whatever is natural in structured config, and returns the value or raises
InvalidValue; `flag` is for keys that are no options. Texts follow Go's strconv and time packages, because buildx's
users write what those accept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from buildclient.contract.output import LONGEST_TIMEOUT
from buildkit_builders.options.problems import InvalidValue, Problems, nearest

__all__ = [
    "Choice",
    "boolean",
    "choice",
    "dns_label",
    "dns_subdomain",
    "duration",
    "flag",
    "image",
    "integer",
    "text_of",
    "whole_seconds",
    "word",
]

_TRUE = frozenset(["1", "t", "T", "TRUE", "true", "True"])
_FALSE = frozenset(["0", "f", "F", "FALSE", "false", "False"])
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DURATION = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+\Z")
_DURATION_PART = re.compile(r"([0-9.]+)([a-zµμ]+)")
_SECONDS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
_ENDS = "beginning and ending with a letter or digit"
_WORD = re.compile(r"[!-~]{1,253}\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
_IMAGE = re.compile(
    rf"(?:{_HOST}(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?\Z"
)


def text_of(raw: object, allowed: str) -> str:
    """A text, or a whole number written as one (YAML reads an unquoted `123` so). Raises InvalidValue for others."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        raise InvalidValue(allowed)
    return str(raw).strip()


def integer(smallest: int, largest: int) -> Callable[[object], int]:
    """A parser of whole numbers in a range: texts as Go's ParseInt takes them, and 2.0 for 2 as JSON has it."""
    allowed = f"give a whole number from {smallest} to {largest}"

    def parse(raw: object) -> int:
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        text = text_of(raw, allowed)
        if not _INTEGER.match(text) or not smallest <= int(text) <= largest:
            raise InvalidValue(allowed)
        return int(text)

    return parse


def boolean(raw: object) -> bool:
    """True or false, or a text that Go's ParseBool takes: 1, t, T, TRUE, true, True and their opposites."""
    if isinstance(raw, bool):
        return raw
    text = raw.strip() if isinstance(raw, str) else str(raw) if isinstance(raw, int) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower())
    raise InvalidValue("give true or false", f'did you mean "{meant}"?' if meant else "")


def flag(raw: object, problems: Problems) -> bool:
    """The boolean of a key that may be left out, which is False; what is none is added to `problems`."""
    if raw in (None, ""):
        return False
    try:
        return boolean(raw)
    except InvalidValue as error:
        problems.refused(raw, error)
        return False


def duration(raw: object) -> float:
    """A time longer than zero, in seconds, from text as Go's ParseDuration takes it: 90s, 2m30s, 1.5h, 500ms."""
    allowed = "give a time with its unit (ns, us, ms, s, m, h), such as 120s or 2m30s"
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise InvalidValue(allowed)
    text = raw.strip() if isinstance(raw, str) else repr(raw)
    sign, unsigned = ("-", text[1:]) if text.startswith("-") else ("", text.removeprefix("+"))
    if len(text) > 64 or not _DURATION.match(unsigned):
        bare = re.fullmatch(r"[0-9]+(\.[0-9]+)?", text)
        raise InvalidValue(allowed, f'did you mean "{text}s"?' if bare and len(text) <= 12 else "")
    parts = _DURATION_PART.findall(unsigned)
    seconds = sum((Fraction(number.rstrip(".")) * _SECONDS[unit] for number, unit in parts), Fraction(0))
    if sign or seconds <= 0:
        raise InvalidValue("the time must be longer than zero, such as 120s")
    if seconds > LONGEST_TIMEOUT:
        raise InvalidValue("that is more than a year; give a time such as 120s")
    return float(seconds)


def whole_seconds(raw: object) -> int:
    """A time of whole seconds, longer than zero, in seconds; texts as `duration` takes them."""
    seconds = duration(raw)
    if not seconds.is_integer():
        raise InvalidValue("give whole seconds, such as 30m or 90s")
    return int(seconds)


def dns_label(raw: object) -> str:
    """A name as Kubernetes wants it for namespaces: at most 63 of a-z, 0-9 and -, neither first nor last a -."""
    allowed = (
        'give a name of at most 63 lower-case letters, digits and "-", beginning and ending with a letter or digit'
    )
    text = text_of(raw, allowed)
    if len(text) > 63 or not _LABEL.match(text):
        raise InvalidValue(allowed, _lower_hint(text, _LABEL))
    return text


def dns_subdomain(raw: object) -> str:
    """A name as Kubernetes wants it for most objects: labels joined by dots, at most 253 characters."""
    allowed = f'give a name of at most 253 lower-case letters, digits, "-" and ".", {_ENDS}'
    text = text_of(raw, allowed)
    if len(text) > 253 or not _SUBDOMAIN.match(text):
        raise InvalidValue(allowed, _lower_hint(text, _SUBDOMAIN))
    return text


def word(raw: object) -> str:
    """A text of 1 to 253 printable ASCII characters without spaces."""
    allowed = "give a name without spaces"
    text = text_of(raw, allowed)
    if not _WORD.match(text):
        raise InvalidValue(allowed)
    return text


def image(raw: object) -> str:
    """An image reference, `[host[:port]/]path[:tag][@digest]`, as the distribution's grammar has it."""
    allowed = (
        "give an image reference, such as moby/buildkit:buildx-stable-1 or registry.example:5000/buildkit@sha256:…"
    )
    text = text_of(raw, allowed)
    if len(text) > 512 or not _IMAGE.match(text):
        scheme = re.match(r"[a-z]+(?:-[a-z]+)?://", text)
        hint = f'leave out "{scheme[0]}"' if scheme else _lower_hint(text, _IMAGE)
        raise InvalidValue(allowed, hint)
    return text


class Choice:
    """A parser that takes one of `allowed`, written so, or in any case; it returns the value as in `allowed`."""

    def __init__(self, allowed: Sequence[str], *, any_case: bool = False) -> None:
        self.allowed = tuple(allowed)
        self._spelled = {one.lower() if any_case else one: one for one in allowed}
        self._any_case = any_case

    def __call__(self, raw: object) -> str:
        """The value. Raises InvalidValue."""
        text = raw.strip() if isinstance(raw, str) else ""
        found = self._spelled.get(text.lower() if self._any_case else text)
        if found is not None:
            return found
        near = nearest(text, self.allowed) if text else None
        raise InvalidValue(f"give {' or '.join(self.allowed)}", f'did you mean "{near}"?' if near else "")


def choice(allowed: Sequence[str]) -> Choice:
    """A parser that takes one of `allowed`, written so."""
    return Choice(allowed)


def _lower_hint(text: str, grammar: re.Pattern[str]) -> str:
    lower = text.lower().replace("_", "-").replace(" ", "-")
    return f'did you mean "{lower}"?' if len(text) <= 63 and grammar.match(lower) else ""
