"""Says on standard error which step of how many runs, and how long each took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Progress"]


class Progress:
    """Numbered steps of one command."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._number = 0
        self._started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announces a step and, when it ends without an error, its time."""
        self._number += 1
        before = time.monotonic()
        self.say(f"step {self._number} of {self._steps}: {title}")
        yield
        self.say(f"step {self._number} of {self._steps}: done in {time.monotonic() - before:.1f} s")

    def say(self, text: str) -> None:
        """One line of detail."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def finish(self, text: str) -> None:
        """The last line, with the time of it all."""
        print(f"  {text} ({time.monotonic() - self._started:.1f} s)", file=sys.stderr, flush=True)
