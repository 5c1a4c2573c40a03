"""Bytes, rates and times as the displays write them."""

from __future__ import annotations

__all__ = ["lasting", "rate", "size"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Formats bytes in units of 1000: `1.50MB`."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1000
    raise AssertionError


def rate(per_second: float) -> str:
    """Formats bytes per second: `3.4MB/s`."""
    value = per_second
    for unit in _UNITS:
        if value < 999.95 or unit == _UNITS[-1]:
            return f"{value:.0f}{unit}/s" if unit == "B" else f"{value:.1f}{unit}/s"
        value /= 1000
    raise AssertionError


def lasting(seconds: float) -> str:
    """Formats a time that is left: `8s`, `2m05s`, `1h02m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
