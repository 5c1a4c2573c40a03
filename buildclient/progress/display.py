"""What every display of progress has in common, and how it is kept up to date."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TextIO

from buildclient.progress.events import Event
from buildclient.progress.state import Progress

__all__ = ["Display", "shown"]

_EVERY = 0.12
"""Seconds between two looks at the state."""


class Display:
    """Takes events, and shows them from time to time. This one shows nothing."""

    def __init__(self, out: TextIO, progress: Progress | None = None) -> None:
        self.progress = Progress() if progress is None else progress
        self._out = out
        self._begun = time.time()

    def seconds(self) -> float:
        """How long the build has taken."""
        return time.time() - self._begun

    def describe(self, name: str, driver: str) -> None:
        """Names the builder and its driver, as soon as they are known."""

    def begin(self) -> None:
        """Prepares the terminal."""

    def feed(self, event: Event) -> None:
        """Takes one event."""
        self.progress.feed(event, time.time())

    def show(self) -> None:
        """Shows what is new."""

    def end(self, failed: bool) -> None:
        """Shows the rest; what failed once more. Leaves the terminal as it was."""


@contextlib.asynccontextmanager
async def shown(display: Display) -> AsyncIterator[Display]:
    """Keeps a display up to date while the body runs."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(_EVERY)
            display.show()

    display.begin()
    ticking = asyncio.ensure_future(tick())
    failed = True
    try:
        yield display
        failed = False
    finally:
        ticking.cancel()
        display.end(failed)
