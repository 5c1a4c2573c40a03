"""Bounds of time, and waits, for tests that run beside others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

__all__ = ["busy", "until"]


def busy(seconds: float) -> float:
    """A bound in seconds that holds on a quiet machine, lengthened by as many processes as wait for each processor.

    On average over the last minute or the last five, whichever is more: a test's neighbours may just be starting.
    """
    return seconds * max(1.0, max(os.getloadavg()[:2]) / (os.cpu_count() or 1))


async def until(holds: Callable[[], object], seconds: float = 10) -> None:
    """Waits until something is so, `seconds` on a quiet machine at most."""
    async with asyncio.timeout(busy(seconds)):
        while not holds():
            await asyncio.sleep(0.005)
