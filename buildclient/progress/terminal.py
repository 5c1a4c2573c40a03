"""Shows a build's progress: plain lines, a live display on a terminal, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple, TextIO

from buildclient.base.errors import UsageError
from buildclient.base.visible import one_line
from buildclient.progress.events import Event
from buildclient.progress.state import Plain, Progress, ProgressRow, size

__all__ = ["MODES", "Display", "choose_mode", "colours", "open_display", "shown"]

MODES = ("auto", "plain", "tty", "quiet", "none", "rawjson")
_EVERY = 0.12
"""Seconds between two looks at the state."""
_LOG_LINES = 6
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
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


class _Line(NamedTuple):
    """A line of the live display."""

    text: str
    right: str = ""
    """What stands at the right edge."""
    state: str = ""
    """A key of the colours."""


class _TtyDisplay(Display):
    """Redraws its lines in place; what scrolled out of the screen stays as it was."""

    def __init__(self, out: TextIO, colours: Mapping[str, str], log_lines: int = _LOG_LINES) -> None:
        super().__init__(out)
        self._log_lines = log_lines
        self._begun = time.time()
        self._drawn = 0
        self._colours = colours

    def show(self) -> None:
        self._draw(final=False)

    def end(self, failed: bool) -> None:
        self._draw(final=True)
        self._out.write("".join(f"{line}\n" for line in _after(Plain(self.progress), failed)))
        self._out.flush()

    def _draw(self, *, final: bool) -> None:
        columns, height = self._size()
        lines = self._lines(time.time())
        if not final:
            lines = [lines[0], *lines[1:][-max(1, height - 3) :]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._out.write(up + "".join(f"\x1b[2K{self._row(line, columns)}\n" for line in lines) + "\x1b[J")
        self._out.flush()
        self._drawn = len(lines)

    def _size(self) -> os.terminal_size:
        # Of the terminal it writes to: standard output may go elsewhere.
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(self._out.fileno())
            # Some say nothing of their size.
            if size.columns and size.lines:
                return size
        return os.terminal_size((80, 24))

    def _lines(self, now: float) -> list[_Line]:
        progress = self.progress
        state = "FINISHED" if progress.total and progress.done == progress.total else ""
        lines = [_Line(f"[+] Building {now - self._begun:.1f}s ({progress.done}/{progress.total}) {state}".rstrip())]
        for row in progress.shown():
            mark = "CACHED " if row.cached else "CANCELED " if row.cancelled else "ERROR " if row.error else ""
            kind = "cancel" if row.cancelled else "error" if row.error else "run" if row.completed else ""
            seconds = f"{row.seconds(progress.clock(row, now)):.1f}s"
            lines.append(_Line(f" => {mark}{_plain(row.name)}", seconds, kind))
            if not row.completed:
                shown = row.log[-self._log_lines :] if self._log_lines else []
                lines += [_Line(f" => => {_plain(one)}") for one in (*_transfers(row), *(f"# {one}" for one in shown))]
        return lines

    def _row(self, line: _Line, columns: int) -> str:
        room = max(10, columns - len(line.right) - 2)
        shown = _cut(line.text, room)
        if line.right:
            shown += " " * (room - _width(shown) + 1) + line.right
        code = self._colours.get(line.state)
        return f"\x1b[{code}m{shown}\x1b[0m" if code else shown


def choose_mode(asked: str, environ: Mapping[str, str], terminal: bool) -> str:
    """The mode that a flag, BUILDKIT_PROGRESS or the terminal asks for. Raises UsageError."""
    mode = asked if asked and asked != "auto" else environ.get("BUILDKIT_PROGRESS") or "auto"
    if mode not in MODES:
        where = "--progress" if mode == asked else "BUILDKIT_PROGRESS"
        raise UsageError(f"{where}: invalid progress mode {mode}: use one of {', '.join(MODES)}")
    if mode == "auto":
        return "tty" if terminal and environ.get("TERM", "dumb") != "dumb" else "plain"
    if mode == "tty" and not terminal:
        where = "--progress" if mode == asked else "BUILDKIT_PROGRESS"
        raise UsageError(f"{where}: progress mode tty needs a terminal on standard error", hint="use auto or plain")
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
        return _TtyDisplay(stream, colours(variables), int(lines) if lines.isdecimal() else _LOG_LINES)
    return _PlainDisplay(stream)


class _JsonDisplay(Display):
    """One JSON object a line, as docker buildx writes them."""

    def feed(self, event: Event) -> None:
        import json

        from buildclient.progress.rawjson import status_object

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
    if failed:
        yield from plain.last_words()
    yield from plain.warnings()


def colours(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The codes of a terminal's colours for `run` (done), `cancel` and `error`; empty where none are wanted.

    NO_COLOR goes before FORCE_COLOR and CLICOLOR_FORCE, and these before TERM=dumb. BUILDKIT_COLORS names single
    ones as for docker buildx: `run=green:error=255,0,0`.
    """
    forced = any(environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    if environ.get("NO_COLOR") or (environ.get("TERM") == "dumb" and not forced):
        return {}
    found = {"run": "34", "cancel": "33", "error": "31"}
    for field in environ.get("BUILDKIT_COLORS", "").split(":"):
        key, _, value = field.lower().partition("=")
        if key in found and (code := _colour(value.strip('"'))):
            found[key] = code
    return found


def _colour(text: str) -> str:
    """The code of a colour's name or of three numbers up to 255; empty for anything else."""
    light = text.startswith("light-")
    if (name := text.removeprefix("light-")) in _NAMES:
        return str((90 if light else 30) + _NAMES.index(name))
    if text == "default":
        return "39"
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        return ""
    red, green, blue = (int(part) * 6 // 256 for part in parts)
    return f"38;5;{16 + 36 * red + 6 * green + blue}"


def _width(text: str) -> int:
    """Columns that a terminal needs for a text."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _cut(text: str, room: int) -> str:
    """As much of a text as fits."""
    if _width(text) <= room:
        return text
    while _width(text) > room - 1:
        text = text[: min(len(text) - 1, room - 1)]
    return f"{text}…"


def _plain(text: str) -> str:
    """Text that moves no cursor."""
    return _CONTROL.sub("", text.expandtabs())


def _transfers(row: ProgressRow) -> list[str]:
    return [
        f"{one_line(status.id)} {size(status.current)}" + (f" / {size(status.total)}" if status.total else "")
        for status in row.statuses.values()
        if status.completed is None and status.current
    ]
