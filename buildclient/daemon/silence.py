"""Detects a daemon that does not answer because it is stopped or its connection is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["IDLE_TIMEOUT", "silent", "silent_text"]

IDLE_TIMEOUT = 25.0
"""Seconds without a byte after which a daemon with a session counts as lost.

It checks the session's health every 5 s and waits up to 15 s for a late answer before it asks again (monitorHealth in
session/grpc.go of BuildKit), so 20 s of silence are normal; a step itself may print nothing for hours.
"""
_STEP = 1.0
"""Seconds between two checks."""


async def silent(heard: Callable[[], int], seconds: float) -> None:
    """Returns once `heard`, a count of what has arrived, has not changed for that many seconds.

    Counts checks instead of reading the clock, so that a machine that slept, a stopped process or a blocked loop is not
    taken for a silent daemon.
    """
    step = min(_STEP, seconds / 5)
    count, quiet = heard(), 0.0
    while quiet < seconds:
        await asyncio.sleep(step)
        now = heard()
        quiet = quiet + step if now == count else 0.0
        count = now


def silent_text(seconds: float, answers: bool | None) -> str:
    """Returns the message; `answers` says whether the API server still answers (None: unknown)."""
    text = f"the daemon does not answer: nothing came from it for {seconds:.0f} s"
    if answers is None:
        return text
    if answers:
        return f"{text}, while the API server answers"
    return f"{text}, nor did the API server answer pings: the connection is dead"
