"""Notices a daemon that does not answer: one that is stopped, or whose connection loses what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["IDLE_TIMEOUT", "silent", "silent_text"]

IDLE_TIMEOUT = 25.0
"""Seconds without a byte after which a daemon with a session is given up.

It asks for the session's health every 5 s, and waits up to 15 s for an answer that is late before it asks again
(monitorHealth in session/grpc.go of BuildKit): 20 s of silence are within its rules, and a step may be quiet for hours.
"""
_STEP = 1.0
"""Seconds between two looks."""


async def silent(heard: Callable[[], int], seconds: float) -> None:
    """Returns once `heard`, a count of what has come, has not changed for so many seconds.

    Counts looks, not the clock: one look stands for one step, however late it is, so that neither the sleep of the
    machine nor a stopped process nor a blocked loop is taken for the daemon's silence.
    """
    step = min(_STEP, seconds / 5)
    count, quiet = heard(), 0.0
    while quiet < seconds:
        await asyncio.sleep(step)
        now = heard()
        quiet = quiet + step if now == count else 0.0
        count = now


def silent_text(seconds: float, answers: bool | None) -> str:
    """Says it, and whether the way to the daemon `answers` (None: not known)."""
    text = f"the daemon does not answer: nothing came from it for {seconds:.0f} s"
    if answers is None:
        return text
    if answers:
        return f"{text}, while the API server answers"
    return f"{text}, nor did the API server answer pings: the connection is dead"
