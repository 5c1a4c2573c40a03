"""Filters of `du`, `prune` and `history ls`, as docker buildx takes them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted
from buildclient.base.units import parse_duration
from buildclient.contract.patterns import pattern

if TYPE_CHECKING:
    from buildclient.daemon.records import BuildRecord

__all__ = ["CacheFilter", "cache_filter", "record_filter"]

_AGES = ("until", "unused-for")
_SIGN = pattern(r"!=|<=|>=|=|<|>")
_VALUES = ("ref", "repository", "status")
_TIMES = ("startedAt", "completedAt", "duration")
_GIT_URL = pattern(r"(?:https?|ssh|git)://|[^/\s]+@[^/\s]+:", re.I)


class CacheFilter(NamedTuple):
    """Which records of a cache are meant."""

    text: str = ""
    """In containerd's filter language; empty for all."""
    keep_duration: int = 0
    """Nanoseconds: `until`, the time in which a record must not have been used."""


def cache_filter(given: Sequence[str]) -> CacheFilter:
    """Returns what several `--filter KEY=VALUE` mean together. Raises UsageError."""
    pairs: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f'invalid argument {go_quoted(text)} for "--filter" flag: '
                "invalid argument: filter must be in the format KEY=VALUE",
                flag="--filter",
            )
        key, value = key.strip().lower(), value.strip()
        if pairs.setdefault(key, value) != value:
            raise UsageError(f"{go_quoted(key)} filter expects only one value")
    ages = [key for key in _AGES if key in pairs]
    if len(ages) > 1:
        raise UsageError('conflicting filters "until" and "unused-for"')
    kept = 0
    for key in ages:
        try:
            kept = parse_duration(pairs.pop(key))
        except ValueError:
            raise UsageError(f"{go_quoted(key)} filter expects a duration (e.g., '24h')") from None
    return CacheFilter(",".join(_cache_term(key, value) for key, value in pairs.items()), kept)


def _cache_term(key: str, value: str) -> str:
    if key == "id":
        return f"id~={value}"
    return f"{key}={value}" if key.endswith(("!", "~")) else f"{key}=={value}"


def record_filter(given: Sequence[str], now: float | None = None) -> Callable[[BuildRecord], bool]:
    """Returns whether a build's record passes every filter: `status=error`, `duration>5m`. Raises UsageError.

    `now` is in seconds since the epoch.
    """
    tests = [_test(text, time.time() if now is None else now) for text in given]
    return lambda record: all(test(record) for test in tests)


def _test(text: str, now: float) -> Callable[[BuildRecord], bool]:
    found = _SIGN.search(text)
    if found is None:
        raise UsageError(f"invalid filter {go_quoted(text)}")
    key, sign, value = text[: found.start()], found[0], text[found.end() :]
    if key in _VALUES:
        if sign not in ("=", "!="):
            raise UsageError(f"invalid separator for {go_quoted(text)}, expected = or !=")
        return lambda record: _same(key, _value(record, key), value, sign)
    if key in _TIMES:
        if sign in ("=", "!="):
            raise UsageError(f"invalid separator for {go_quoted(text)}, expected <=, <, >= or >")
        limit = _limit(key, value, now)
        return lambda record: _compared(_moment(record, key), limit, sign)
    raise UsageError(f"unsupported filter {go_quoted(text)}")


def _same(key: str, found: str, value: str, sign: str) -> bool:
    if sign == "!=":
        return found != value
    return found == value if key == "status" else value in found


def _value(record: BuildRecord, key: str) -> str:
    if key == "ref":
        return record.ref
    if key == "status":
        return record.status.lower()
    source = record.attrs.get("vcs:source")
    if source is None:
        context = record.attrs.get("context", "")
        source = context.partition("#")[0] if _GIT_URL.match(context) else ""
    return source


def _limit(key: str, value: str, now: float) -> float:
    try:
        seconds = parse_duration(value) / 1e9
    except ValueError:
        if key == "duration":
            raise UsageError(f"invalid duration {value}") from None
        try:
            return float(int(datetime.fromisoformat(value).timestamp()))
        except (ValueError, OverflowError):
            raise UsageError(f"invalid time {value}") from None
    return seconds if key == "duration" else float(int(now - seconds))


def _moment(record: BuildRecord, key: str) -> float:
    if key == "startedAt":
        return float(int(record.created))
    if record.completed is None:
        return 0.0
    return float(int(record.completed)) if key == "completedAt" else record.completed - record.created


def _compared(found: float, limit: float, sign: str) -> bool:
    if sign.startswith("<"):
        return found < limit or (sign == "<=" and found == limit)
    return found > limit or (sign == ">=" and found == limit)
