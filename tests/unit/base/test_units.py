"""Sizes and durations in Go's words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.units import (
    human_duration,
    human_size,
    parse_bytes,
    parse_duration,
    progress_rate,
    progress_size,
    short_duration,
    time_left,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (4096, "4.096kB"), (5_247_000, "5.247MB"), (10**12, "1TB"), (10**21, "1000EB")],
)
def test_a_size_has_four_digits(count: int, text: str) -> None:
    """As docker/go-units writes it."""
    assert human_size(count) == text


def test_what_a_transfer_shows() -> None:
    """As BuildKit shows transfers; so are rates."""
    assert [progress_size(0), progress_size(999), progress_size(1500), progress_size(2_000_000)] == [
        "0B",
        "999B",
        "1.50kB",
        "2.00MB",
    ]
    assert [progress_rate(0), progress_rate(3_400_000)] == ["0B/s", "3.4MB/s"]
    assert [time_left(8.4), time_left(125), time_left(3720)] == ["8s", "2m05s", "1h02m"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1.5, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (70 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_a_duration_is_in_words(seconds: float, text: str) -> None:
    """As docker/go-units writes it."""
    assert human_duration(seconds) == text


def test_a_short_duration_has_minutes_from_the_first() -> None:
    """As docker buildx writes a build's."""
    assert [short_duration(one) for one in (3.25, 59.94, 125)] == ["3.2s", "59.9s", "2m  5s"]


@given(st.integers(0, 10**6), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_durations_are_read(count: int, unit: str) -> None:
    """A number with its unit, and two of them one after the other."""
    one = parse_duration(f"{count}{unit}")
    assert parse_duration(f"{count}{unit}1s") == one + 10**9


@pytest.mark.parametrize("text", ["", "3", "1d", "-1s", "1s ", "1" * 70 + "s", "9999999999h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """ValueError, whatever it is."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("5", 5), ("1k", 1024), ("1.5GB", 3 * 2**29), ("2 MiB", 2 << 20), ("10g", 10 << 30)]
)
def test_sizes_are_read(text: str, count: int) -> None:
    """In units of 1024, as docker's flags are."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "x", "1zz", "-1", "9" * 30, "1" * 70])
def test_what_is_no_size_is_refused(text: str) -> None:
    """ValueError, whatever it is."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_bytes(text)
