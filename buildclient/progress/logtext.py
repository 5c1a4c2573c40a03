"""A step's output as lines, each in the state that a terminal would show last.

Programs rewrite a line with carriage returns, backspaces and erasures: a progress bar. BuildKit's display feeds a
terminal emulator (tonistiigi/vt100); here a line is enough. Colours stay, every other control sequence is left out,
and no line is longer than LONGEST_LINE characters, nor a rewritten one than LONGEST_REWRITTEN.
"""

from __future__ import annotations

import codecs
from itertools import groupby
from typing import NamedTuple

from buildclient.base.visible import log_text
from buildclient.contract.patterns import pattern

__all__ = ["LONGEST_LINE", "LONGEST_REWRITTEN", "LogLine", "LogLines"]

LONGEST_LINE = 1 << 16
"""Characters after which a line is broken: a step may print for hours without a line's end."""
LONGEST_REWRITTEN = 4096
"""Columns of a line that is rewritten; what goes beyond is dropped."""
_LONGEST_SEQUENCE = 256
"""Characters that an escape sequence may have when it comes in pieces; a longer one counts as text."""
_LONGEST_STYLE = 128
_MOVES = pattern(r"[\r\b]|(?:\x1b\[|\x9b)[0-9;]*[CDGKPX]")
"""What moves the cursor within the line, or erases (ECMA-48: CUF, CUB, CHA, EL, DCH, ECH)."""
_UNFINISHED = pattern(r"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*)?|\x9b[0-?]*[ -/]*|\r+)\Z")
"""What the next piece decides about: a sequence that is not whole, and returns, which may belong to the line's end."""
_TOKEN = pattern(
    r"(?P<style>(?:\x1b\[|\x9b)[0-9;:]*m)|(?:\x1b\[|\x9b)(?P<count>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|(?P<control>[\x00-\x08\x0b-\x1f\x7f-\x9f])"
    r"|(?P<text>[^\x00-\x08\x0b-\x1f\x7f-\x9f]+)"
)


class LogLine(NamedTuple):
    """A line of output."""

    text: str
    """Safe to write to a terminal."""
    stamp: float | None
    """When its first piece was printed, in seconds on the daemon's clock."""
    rewritten: bool = False
    """Whether the program moved the cursor within the line."""


class LogLines:
    """Turns pieces of output into lines. A piece may end in the middle of a line, of a sequence or of a character."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = ""
        self._cells: _Cells | None = None
        self._unfinished = ""
        self._stamp: float | None = None

    def feed(self, data: bytes, stamp: float | None) -> list[LogLine]:
        """Takes a piece; returns the lines that it ends."""
        *ended, rest = self._decode(data).split("\n")
        lines: list[LogLine] = []
        for piece in ended:
            if self._text or self._unfinished or self._cells or len(piece) > LONGEST_LINE:
                lines += self._begin(piece, stamp)
                lines.append(self._end())
            else:
                lines.append(_whole(piece, stamp))
        if rest:
            lines += self._begin(rest, stamp)
        return lines

    @property
    def begun(self) -> LogLine | None:
        """The line that has no end yet; None if there is none, or nothing to see in it."""
        if self._cells is not None:
            return LogLine(log_text(self._cells.text()), self._stamp, True)
        return LogLine(log_text(self._text), self._stamp) if self._text else None

    def close(self) -> LogLine | None:
        """Ends the line that has no end, and returns it."""
        if not (self._text or self._unfinished or self._cells):
            return None
        return self._end()

    def _begin(self, piece: str, stamp: float | None) -> list[LogLine]:
        """Adds to the line; returns the lines that it had to be broken into."""
        if not (self._text or self._unfinished or self._cells):
            self._stamp = stamp
        piece, self._unfinished = self._unfinished + piece, ""
        if (found := _UNFINISHED.search(piece, max(0, len(piece) - _LONGEST_SEQUENCE))) is not None:
            piece, self._unfinished = piece[: found.start()], found[0]
        if self._cells is None and _MOVES.search(piece):
            self._cells = _Cells()
            self._text, piece = "", self._text + piece
        if self._cells is not None:
            self._cells.write(piece)
            return []
        self._text += piece
        broken = []
        while len(self._text) > LONGEST_LINE:
            broken.append(LogLine(log_text(self._text[:LONGEST_LINE]), self._stamp))
            self._text = self._text[LONGEST_LINE:]
        return broken

    def _end(self) -> LogLine:
        line = self.begun or LogLine("", self._stamp)
        self._text, self._cells, self._unfinished = "", None, ""
        return line


def _whole(text: str, stamp: float | None) -> LogLine:
    """A line that came in one piece."""
    if text.isprintable():
        return LogLine(text, stamp)
    text = text.rstrip("\r")
    if not _MOVES.search(text):
        return LogLine(log_text(text), stamp)
    cells = _Cells()
    cells.write(text)
    return LogLine(log_text(cells.text()), stamp, True)


class _Cells:
    """One line of a terminal: characters, their styles, and where the cursor stands."""

    def __init__(self) -> None:
        self._signs: list[str] = []
        self._styles: list[str] = []
        self._at = 0
        self._style = ""

    def write(self, text: str) -> None:
        """Does what the text says."""
        for token in _TOKEN.finditer(text):
            if (run := token["text"]) is not None:
                self._put(run)
            elif (style := token["style"]) is not None:
                self._restyle(style)
            elif token["final"] is not None:
                self._steer(token["final"], token["count"])
            elif token["control"] == "\r":
                self._at = 0
            elif token["control"] == "\b":
                self._at = max(0, self._at - 1)

    def text(self) -> str:
        """The characters with their styles, as SGR sequences."""
        if not any(self._styles):
            return "".join(self._signs).rstrip()
        shown = ""
        for style, run in groupby(zip(self._styles, self._signs, strict=True), key=lambda cell: cell[0]):
            signs = "".join(sign for _, sign in run)
            shown += f"{style}{signs}\x1b[0m" if style else signs
        return shown.rstrip()

    def _put(self, run: str) -> None:
        run = run[: max(0, LONGEST_REWRITTEN - self._at)]
        self._pad(self._at)
        self._signs[self._at : self._at + len(run)] = run
        self._styles[self._at : self._at + len(run)] = [self._style] * len(run)
        self._at += len(run)

    def _pad(self, width: int) -> None:
        if (more := width - len(self._signs)) > 0:
            self._signs += " " * more
            self._styles += [""] * more

    def _restyle(self, sequence: str) -> None:
        sequence = sequence.replace("\x9b", "\x1b[")
        parts = sequence[2:-1].split(";")
        if parts[-1] in ("", "0"):
            self._style = ""
        else:
            self._style = (self._style if len(self._style) < _LONGEST_STYLE else "") + sequence

    def _steer(self, final: str, count: str) -> None:
        number = int(count) if count.isdecimal() and len(count) < 6 else 0
        if final == "G":
            self._at = min(max(number, 1), LONGEST_REWRITTEN) - 1
        elif final == "C":
            self._at = min(self._at + max(number, 1), LONGEST_REWRITTEN)
        elif final == "D":
            self._at = max(0, self._at - max(number, 1))
        elif final == "K":
            self._erase(0 if number else self._at, self._at + 1 if number == 1 else len(self._signs))
        elif final == "X":
            self._erase(self._at, self._at + max(number, 1))
        elif final == "P":
            del self._signs[self._at : self._at + max(number, 1)]
            del self._styles[self._at : self._at + max(number, 1)]

    def _erase(self, start: int, end: int) -> None:
        if end >= len(self._signs):
            del self._signs[start:], self._styles[start:]
            return
        self._signs[start:end] = " " * (end - start)
        self._styles[start:end] = [""] * (end - start)
