"""The live display: redraws its lines in place, on a terminal."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import TextIO

from buildclient.base.visible import one_line
from buildclient.progress.closing import DEFAULT, Closing, closing_lines
from buildclient.progress.columns import width
from buildclient.progress.cursor import Cursor
from buildclient.progress.display import Display
from buildclient.progress.picture import Line, Picture, fitted
from buildclient.progress.state import Progress

__all__ = ["LOG_LINES", "TtyDisplay"]

LOG_LINES = 6
"""Lines of a step's output below it."""
_STYLES = {"log": "2", "heading": "1"}
# A character may be wider than Unicode says: a line that is too long is then cut rather than wrapped, which would
# move all that follows.
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class TtyDisplay(Display):
    """What scrolled out of the screen stays as it was; below the last picture stands what failed."""

    def __init__(
        self,
        out: TextIO,
        colours: Mapping[str, str],
        log_lines: int = LOG_LINES,
        closing: Closing = DEFAULT,
    ) -> None:
        super().__init__(out, Progress(None))
        self._picture = Picture(self.progress, log_lines)
        self._closing = closing
        self._builder = ""
        self._styles = {**_STYLES, **colours} if colours else {}
        self._cursor = Cursor(out, self._forget)
        self._drawn: list[str] = []
        """The lines on the screen, with their colours."""
        self._widths: list[int] = []
        self._columns = 0

    def describe(self, name: str, driver: str) -> None:
        """Names the builder at the right end of the first line."""
        self._builder = one_line(f"{driver}:{name}")

    def begin(self) -> None:
        """Hides the cursor."""
        self._cursor.hide()

    def show(self) -> None:
        """Draws the latest state."""
        columns, height = self._size()
        now = time.time()
        self._draw([self._head(now), *self._picture.lines(now, max(0, height - 3))], columns)

    def end(self, failed: bool) -> None:
        """Draws everything, and what failed once more; shows the cursor."""
        now = time.time()
        try:
            self._draw([self._head(now, final=True), *self._picture.whole(now)], self._size()[0])
            colour = self._styles.get("warning", "")
            took = self.seconds()
            lines = closing_lines(self.progress, self._closing, took, failed=failed, colour=colour, live=True)
            self._out.write("".join(f"{line}\n" for line in lines))
        finally:
            self._cursor.show()
            self._out.flush()

    def _head(self, now: float, *, final: bool = False) -> Line:
        progress = self.progress
        done = final and 0 < progress.total == progress.done
        text = f"[+] Building {now - self._begun:.1f}s ({progress.done}/{progress.total})"
        return Line(f"{text} FINISHED" if done else text, right=self._builder)

    def _draw(self, lines: list[Line], columns: int) -> None:
        """Writes the lines over the former ones; those that are the same stay."""
        again = columns == self._columns
        shown = [fitted(line, columns) for line in lines]
        rows = [self._coloured(text, line.state) for text, line in zip(shown, lines, strict=True)]
        drawn = self._drawn if again else []
        parts = [_NO_WRAP, "\r"]
        if up := self._height(columns):
            parts.append(f"\x1b[{up}A")
        for number, row in enumerate(rows):
            parts.append("\n" if number < len(drawn) and drawn[number] == row else f"\x1b[2K{row}\n")
        if len(rows) < len(self._drawn) or not again:
            parts.append("\x1b[J")
        parts.append(_WRAP)
        self._out.write("".join(parts))
        self._out.flush()
        self._drawn, self._columns = rows, columns
        self._widths = [width(text) for text in shown]

    def _height(self, columns: int) -> int:
        """Lines that the last picture takes; a terminal that became narrower has broken those that are too long."""
        if columns >= self._columns:
            return len(self._drawn)
        return sum(max(1, -(-one // columns)) for one in self._widths)

    def _coloured(self, text: str, state: str) -> str:
        code = self._styles.get(state)
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def _forget(self) -> None:
        """The next picture stands below whatever is on the screen."""
        self._drawn, self._widths = [], []

    def _size(self) -> os.terminal_size:
        # Of the terminal it writes to: standard output may go elsewhere.
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(self._out.fileno())
            # Some say nothing of their size.
            if size.columns and size.lines:
                return size
        return os.terminal_size((80, 24))
