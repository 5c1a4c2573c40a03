"""Reads how often a build may be taken up again, and how long it may take: `--retries`, `--timeout`."""

from __future__ import annotations

from collections.abc import Mapping

from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted
from buildclient.base.units import parse_duration
from buildclient.request.values import DEFAULT_RETRIES

__all__ = ["MAX_RETRIES", "parse_retries", "parse_timeout"]

MAX_RETRIES = 100
_VARIABLE = "BUILDCLIENT_RETRIES"


def parse_retries(text: str, environ: Mapping[str, str]) -> int:
    """Returns the number in a flag's text; of an empty one that of BUILDCLIENT_RETRIES, or 2. Raises UsageError."""
    what = f"for {go_quoted('--retries')} flag" if text else f"in {_VARIABLE}"
    text = text or environ.get(_VARIABLE, "")
    if not text:
        return DEFAULT_RETRIES
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MAX_RETRIES):
        raise UsageError(f"invalid argument {go_quoted(text)} {what}: must be a number from 0 to {MAX_RETRIES}")
    return int(text)


def parse_timeout(text: str) -> float:
    """Returns the seconds of a duration such as `10m`; 0, for no limit, of an empty text or 0. Raises UsageError."""
    try:
        seconds = parse_duration(text) / 1e9 if text else 0.0
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise UsageError(
            f"invalid argument {go_quoted(text)} for {go_quoted('--timeout')} flag: must be like 90s or 1h"
        )
    return seconds
