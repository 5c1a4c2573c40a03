"""Sizes and durations as Go's tools write and read them (docker/go-units, `time.ParseDuration`), and as displays do.

docker writes a size that stays with four digits (`human_size`), and one that grows with two decimals
(`progress_size`), so that it keeps its width.
"""

from __future__ import annotations

import re

from buildclient.contract.patterns import pattern

__all__ = [
    "human_duration",
    "human_size",
    "parse_bytes",
    "parse_duration",
    "progress_rate",
    "progress_size",
    "short_duration",
    "time_left",
]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_DURATION = pattern(r"(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_PART = pattern(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_BYTES = pattern(r"(\d+(?:\.\d+)?)\s?([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE)
_LONGEST = 64
"""Characters of a size or duration."""
_INT64 = 2**63 - 1


def human_size(count: int) -> str:
    """Formats bytes in units of 1000, four digits: `1.234MB`."""
    value, unit = _scaled(count, 1000)
    return f"{value:.4g}{unit}"


def progress_size(count: int) -> str:
    """Formats bytes in units of 1000, two decimals: `1.50MB`."""
    value, unit = _scaled(count, 1000)
    return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"


def progress_rate(per_second: float) -> str:
    """Formats bytes per second: `3.4MB/s`."""
    value, unit = _scaled(per_second, 999.95)
    return f"{value:.0f}{unit}/s" if unit == "B" else f"{value:.1f}{unit}/s"


def _scaled(count: float, limit: float) -> tuple[float, str]:
    """The count in the first unit of which it is less than `limit`, and that unit."""
    value, unit = float(count), 0
    while value >= limit and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return value, _UNITS[unit]


def human_duration(seconds: float) -> str:
    """Formats a duration in words: `3 minutes`, `About an hour`."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, unit, name in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{whole // 3600 // 8760} years"


def short_duration(seconds: float) -> str:
    """Formats a build's duration: `3.2s`, `2m  5s`."""
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds) // 60}m {int(seconds) % 60:2d}s"


def time_left(seconds: float) -> str:
    """Formats a time that is left: `8s`, `2m05s`, `1h02m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def parse_duration(text: str) -> int:
    """Returns the nanoseconds of a Go duration such as `24h` or `1m30s`. Raises ValueError."""
    unsigned = text.removeprefix("+")
    if unsigned == "0":
        return 0
    if len(text) > _LONGEST or not _DURATION.fullmatch(unsigned):
        raise ValueError(text)
    from fractions import Fraction  # not for every build: displays use this module

    total = int(sum(Fraction(number.rstrip(".")) * _NANOSECONDS[unit] for number, unit in _PART.findall(unsigned)))
    if total > _INT64:
        raise ValueError(text)
    return total


def parse_bytes(text: str) -> int:
    """Returns the bytes of a size such as `512m` or `1.5GB`, in units of 1024. Raises ValueError."""
    found = _BYTES.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(text)
    from fractions import Fraction

    value = int(Fraction(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " "))
    if value > _INT64:
        raise ValueError(text)
    return value
