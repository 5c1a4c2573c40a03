"""The progress of many stacks on standard error: lines in a log, a block that is redrawn on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from buildclient.base.visible import one_line
from buildkit_builders.cli.report import progress

if TYPE_CHECKING:
    from buildkit_builders.automation import StackEvent

__all__ = ["FleetView"]

_REDRAW = 0.1
"""Seconds between two pictures."""
_MOST_ROWS = 12


class FleetView:
    """Shows the events of a run. Every line names its claim."""

    def __init__(
        self,
        total: int,
        names: Callable[[str], str] = str,
        *,
        steps: bool = True,
        terminal: bool | None = None,
        write: Callable[[str], object] = progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`total` is the number of stacks, `names` says how a stack is called.

        With `steps` a log has a line for each change of a resource. `terminal` is found out if not given.
        """
        self._terminal = bool(sys.stderr and sys.stderr.isatty()) if terminal is None else terminal
        self._total, self._names, self._steps, self._write, self._clock = total, names, steps, write, clock
        self._began, self._drawn, self._rows = clock(), 0.0, 0
        self._at_work: dict[str, str] = {}
        self._done, self._failed = 0, 0

    def show(self, event: StackEvent) -> None:
        """Take one event."""
        line = self._take(event)
        if line:
            self._clear()
            for one in line.splitlines():
                self._write(one_line(one))
        if self._terminal and (line or self._clock() - self._drawn >= _REDRAW):
            self._clear()
            self._draw()

    def close(self) -> None:
        """Take the block away."""
        self._clear()

    def _take(self, event: StackEvent) -> str:
        """What is said of an event for good; empty for what only the block shows."""
        from buildkit_builders import automation as on

        name = self._names(event.stack)
        match event:
            case on.Began():
                self._at_work[event.stack] = "starts"
            case on.StepBegan(_, step):
                self._at_work[event.stack] = f"{step.operation} {step.name}"
            case on.StepEnded(_, step):
                return "" if self._terminal or not self._steps else f"{name}: {step.operation} {step.name}"
            case on.StepFailed(_, step):
                return f"{name}: FAILED: {step.operation} {step.name}"
            case on.Told(_, "warning", _, text) if text.startswith("using pulumi-"):
                return ""  # Pulumi's note on a plugin on PATH, once a stack
            case on.Told(_, "warning", resource, text):
                return f"{name}: WARNING: {': '.join(filter(None, [resource, text]))}"
            case on.Waiting(_, text):
                self._at_work[event.stack] = text
                return f"{name}: {text}"
            case on.Retrying(_, attempt, pause, error):
                self._at_work[event.stack] = f"waits for try {attempt}"
                return f"{name}: try {attempt} in {pause:.0f} s, after: {error}"
            case on.Ended(_, outcome):
                self._at_work.pop(event.stack, None)
                self._done += 1
                self._failed += bool(outcome.error)
                how = "cancelled" if outcome.cancelled else "FAILED" if outcome.error else "done"
                why = f": {str(outcome.error).splitlines()[0]}" if outcome.error else _changes(outcome.result)
                return f"[{self._done}/{self._total}] {name}: {how} in {outcome.seconds:.1f} s{why}"
        return ""

    def _clear(self) -> None:
        if self._terminal and self._rows:
            _raw(f"\x1b[{self._rows}A\x1b[J")
            self._rows = 0

    def _draw(self) -> None:
        self._drawn = self._clock()
        failed = f", {self._failed} failed" if self._failed else ""
        head = (
            f"{self._done}/{self._total} done{failed}, {len(self._at_work)} at work, {self._drawn - self._began:.0f} s"
        )
        rows = [head, *(f"  {self._names(stack)}: {what}" for stack, what in self._at_work.items())][:_MOST_ROWS]
        width = shutil.get_terminal_size().columns - 1
        _raw("".join(f"{one_line(row)[:width]}\n" for row in rows))
        self._rows = len(rows)


def _changes(result: object) -> str:
    found = getattr(result, "changes", None)
    return (
        ": " + (", ".join(f"{number} to {what}" for what, number in found.items()) or "no changes")
        if found is not None
        else ""
    )


def _raw(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # what is done goes on, whether or not anyone looks
