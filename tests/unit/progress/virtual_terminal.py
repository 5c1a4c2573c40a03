"""A small terminal: what a display writes to it, as a person would see it (ECMA-48, and xterm's private modes)."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([@-~])|(\r)|(\n)|([^\x00-\x1f\x7f-\x9f]+)|(.)", re.DOTALL)


class VirtualTerminal:
    """A screen with what scrolled out of it. Raises AssertionError for a sequence that no display should write."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.cells: list[list[str]] = [[]]
        self.top = 0
        self.row = self.column = 0
        self.cursor_shown = self.wraps = True
        self.styles: set[str] = set()
        self.wrapped = 0
        """How many lines were broken."""

    def feed(self, text: str) -> VirtualTerminal:
        """Takes output; `\\n` also returns, as a terminal in its usual mode has it."""
        for private, count, final, back, line, run, other in _TOKEN.findall(text):
            assert not other, f"control character {other!r}"
            if back:
                self.column = 0
            elif line:
                self._down()
                self.column = 0
            elif run:
                for sign in run:
                    self._put(sign)
            else:
                self._steer(private, count, final)
        return self

    def lines(self) -> list[str]:
        """Everything that was written, from the first line on, without spaces at the ends."""
        found = ["".join(cells).rstrip() for cells in self.cells]
        while found and not found[-1]:
            found.pop()
        return found

    def screen(self) -> list[str]:
        """The lines on the screen."""
        return self.lines()[self.top :]

    def text(self) -> str:
        """All lines as one text."""
        return "\n".join(self.lines())

    def _down(self) -> None:
        self.row += 1
        while len(self.cells) <= self.row:
            self.cells.append([])
        self.top = max(self.top, self.row - self.rows + 1)

    def _put(self, sign: str) -> None:
        wide = 2 if unicodedata.east_asian_width(sign) in "WF" else 0 if unicodedata.combining(sign) else 1
        if self.column + wide > self.columns:
            if not self.wraps:
                return
            self.wrapped += 1
            self._down()
            self.column = 0
        cells = self.cells[self.row]
        cells += " " * (self.column - len(cells))
        if wide == 0:
            if self.column:
                cells[self.column - 1] += sign
            return
        cells[self.column : self.column + wide] = [sign, ""][:wide]
        self.column += wide

    def _steer(self, private: str, count: str, final: str) -> None:
        number = int(count) if count.isdecimal() else 0
        if private:
            assert final in "hl", f"sequence ?{count}{final}"
            assert number in (7, 25), f"mode {number}"
            if number == 25:
                self.cursor_shown = final == "h"
            else:
                self.wraps = final == "h"
        elif final == "A":
            self.row = max(self.top, self.row - max(1, number))
        elif final == "B":
            self.row = min(self.top + self.rows - 1, self.row + max(1, number))
            while len(self.cells) <= self.row:
                self.cells.append([])
        elif final == "G":
            self.column = max(1, number) - 1
        elif final == "K":
            cells = self.cells[self.row]
            del cells[0 if number == 2 else self.column :]
        elif final == "J":
            assert number == 0
            del self.cells[self.row][self.column :]
            del self.cells[self.row + 1 :]
        else:
            assert final == "m", f"sequence {count}{final}"
            self.styles.add(count)
