"""Filters of caches and of builds' records."""

from __future__ import annotations

import pytest

from buildclient.base.errors import UsageError
from buildclient.daemon.filters import CacheFilter, cache_filter, record_filter
from buildclient.daemon.records import BuildRecord

_NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((), CacheFilter()),
        (("type=regular",), CacheFilter("type==regular")),
        (("ID=abc", "shared=true"), CacheFilter("id~=abc,shared==true")),
        (("type!=regular",), CacheFilter("type!=regular")),
        (("description~=x",), CacheFilter("description~=x")),
        (("until=24h",), CacheFilter("", 86400 * 10**9)),
        (("unused-for=1m", "type=a", "type=a"), CacheFilter("type==a", 60 * 10**9)),
    ],
)
def test_filters_of_a_cache_are_containerds(given: tuple[str, ...], meant: CacheFilter) -> None:
    """Each as docker buildx makes it; an age is a duration of its own."""
    assert cache_filter(given) == meant


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("type",), "filter must be in the format KEY=VALUE"),
        (("until=1d",), "\"until\" filter expects a duration (e.g., '24h')"),
        (("until=1h", "unused-for=1h"), 'conflicting filters "until" and "unused-for"'),
        (("type=a", "type=b"), '"type" filter expects only one value'),
    ],
)
def test_wrong_filters_of_a_cache_are_one_line(given: tuple[str, ...], words: str) -> None:
    """In docker buildx's words."""
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")):
        cache_filter(given)


_DONE = BuildRecord("abcdef", {"vcs:source": "https://g.example/a.git"}, _NOW - 100, _NOW - 40)
_FAILED = BuildRecord("fedcba", {"context": "https://g.example/b.git#main"}, _NOW - 5000, _NOW - 4999, "broken")
_RUNNING = BuildRecord("012345", {}, _NOW - 10)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("status=completed", [_DONE]),
        ("status!=completed", [_FAILED, _RUNNING]),
        ("status=error", [_FAILED]),
        ("status=running", [_RUNNING]),
        ("ref=cde", [_DONE]),
        ("repository=g.example", [_DONE, _FAILED]),
        ("duration>30s", [_DONE]),
        ("duration<=1s", [_FAILED, _RUNNING]),
        ("startedAt>=5m", [_DONE, _RUNNING]),
        ("completedAt<1h", [_FAILED, _RUNNING]),
        ("startedAt<2023-11-14T21:00:00Z", [_FAILED]),
    ],
)
def test_filters_of_records(text: str, passed: list[BuildRecord]) -> None:
    """A value or a time, compared as docker buildx compares it."""
    wanted = record_filter([text], _NOW)
    assert [one for one in (_DONE, _FAILED, _RUNNING) if wanted(one)] == passed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("status", 'invalid filter "status"'),
        ("status>1", 'invalid separator for "status>1", expected = or !='),
        ("duration=1s", 'invalid separator for "duration=1s", expected <=, <, >= or >'),
        ("duration>x", "invalid duration x"),
        ("startedAt>x", "invalid time x"),
        ("name=a", 'unsupported filter "name=a"'),
    ],
)
def test_wrong_filters_of_records_are_one_line(text: str, words: str) -> None:
    """In docker buildx's words."""
    with pytest.raises(UsageError) as caught:
        record_filter([text])
    assert str(caught.value) == words
