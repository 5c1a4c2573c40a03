"""Shows a build's progress: plain lines, a live display on a terminal, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TextIO

from buildclient.core.errors import UsageError
from buildclient.core.events import Event
from buildclient.core.progress import Plain, Progress, Row, size

__all__ = ["MODES", "Display", "choose_mode", "open_display"]

MODES = ("auto", "plain", "tty", "quiet", "none", "rawjson")
_EVERY = 0.12
"""Seconds between two looks at the state."""
_LOG_LINES = 6
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]")


class Display:
    """Takes events, and shows them from time to time. This one shows nothing."""

    def __init__(self, out: TextIO) -> None:
        self.progress = Progress()
        self._out = out

    def feed(self, event: Event) -> None:
        """Takes one event."""
        self.progress.feed(event, time.time())

    def show(self) -> None:
        """Shows what is new."""

    def end(self, failed: bool) -> None:
        """Shows the rest; what failed once more."""


class _PlainDisplay(Display):
    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._plain = Plain(self.progress)

    def show(self) -> None:
        if text := "".join(f"{line}\n" for line in self._plain.lines(time.time())):
            self._out.write(text)
            self._out.flush()

    def end(self, failed: bool) -> None:
        lines = [*self._plain.lines(time.time(), final=True), *_after(self._plain, failed)]
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()


class _TtyDisplay(Display):
    """Redraws its lines in place; what scrolled out of the screen stays as it was."""

    def __init__(self, out: TextIO, colour: bool, log_lines: int = _LOG_LINES) -> None:
        super().__init__(out)
        self._log_lines = log_lines
        self._begun = time.time()
        self._drawn = 0
        self._colour = colour

    def show(self) -> None:
        self._draw(final=False)

    def end(self, failed: bool) -> None:
        self._draw(final=True)
        self._out.write("".join(f"{line}\n" for line in _after(Plain(self.progress), failed)))
        self._out.flush()

    def _draw(self, *, final: bool) -> None:
        import shutil

        columns, height = shutil.get_terminal_size()
        lines = self._lines(time.time())
        if not final:
            lines = [lines[0], *lines[1:][-(height - 3) :]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._out.write(up + "".join(f"\x1b[2K{self._cut(line, columns)}\n" for line in lines) + "\x1b[J")
        self._out.flush()
        self._drawn = len(lines)

    def _lines(self, now: float) -> list[str]:
        progress = self.progress
        state = "FINISHED" if progress.total and progress.done == progress.total else ""
        lines = [f"[+] Building {now - self._begun:.1f}s ({progress.done}/{progress.total}) {state}".rstrip()]
        for row in progress.shown():
            mark = "CACHED " if row.cached else "CANCELED " if row.cancelled else "ERROR " if row.error else ""
            lines.append(f" => {mark}{_plain(row.name)}\t{row.seconds(progress.clock(row, now)):.1f}s")
            if not row.completed:
                shown = row.log[-self._log_lines :] if self._log_lines else []
                lines += [f" => => {_plain(line)}" for line in (*_transfers(row), *(f"# {line}" for line in shown))]
        return lines

    def _cut(self, line: str, columns: int) -> str:
        text, _, right = line.partition("\t")
        room = max(10, columns - len(right) - 2)
        shown = text if len(text) <= room else text[: room - 1] + "…"
        filled = f"{shown:<{room}} {right}" if right else shown
        if not self._colour:
            return filled
        code = "31" if text.startswith(" => ERROR") else "34" if right else ""
        return f"\x1b[{code}m{filled}\x1b[0m" if code else filled


def choose_mode(asked: str, environ: Mapping[str, str], terminal: bool) -> str:
    """The mode that a flag, BUILDKIT_PROGRESS or the terminal asks for. Raises UsageError."""
    mode = asked if asked and asked != "auto" else environ.get("BUILDKIT_PROGRESS") or "auto"
    if mode not in MODES:
        where = "--progress" if mode == asked else "BUILDKIT_PROGRESS"
        raise UsageError(f"{where}: invalid progress mode {mode}: use one of {', '.join(MODES)}")
    if mode == "auto":
        return "tty" if terminal and environ.get("TERM", "dumb") != "dumb" else "plain"
    return mode


def open_display(mode: str, out: TextIO | None = None, environ: Mapping[str, str] | None = None) -> Display:
    """The display of a mode. Raises UsageError for one that there is not."""
    stream = sys.stderr if out is None else out
    variables = os.environ if environ is None else environ
    if mode in ("quiet", "none"):
        return Display(stream)
    if mode == "rawjson":
        return _JsonDisplay(stream)
    if mode == "tty":
        lines = variables.get("BUILDKIT_TTY_LOG_LINES", "")
        return _TtyDisplay(stream, not variables.get("NO_COLOR"), int(lines) if lines.isdecimal() else _LOG_LINES)
    return _PlainDisplay(stream)


class _JsonDisplay(Display):
    """One JSON object a line, as docker buildx writes them."""

    def feed(self, event: Event) -> None:
        import json

        from buildclient.core.statusjson import status_object

        self._out.write(json.dumps(status_object(event), separators=(",", ":"), ensure_ascii=False) + "\n")

    def end(self, failed: bool) -> None:
        self._out.flush()


@contextlib.asynccontextmanager
async def shown(display: Display) -> AsyncIterator[Display]:
    """Keeps a display up to date while the body runs."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(_EVERY)
            display.show()

    ticking = asyncio.ensure_future(tick())
    failed = True
    try:
        yield display
        failed = False
    finally:
        ticking.cancel()
        display.end(failed)


def _after(plain: Plain, failed: bool) -> Iterator[str]:
    return plain.last_words() if failed else plain.warnings()


def _plain(text: str) -> str:
    """Text that moves no cursor."""
    return _CONTROL.sub("", text.expandtabs())


def _transfers(row: Row) -> list[str]:
    return [
        f"{status.id} {size(status.current)}" + (f" / {size(status.total)}" if status.total else "")
        for status in row.statuses.values()
        if status.completed is None and status.current
    ]
