"""`--progress plain`: lines that only ever get more, as BuildKit writes them.

One row at a time has the word: `#N name`, its lines, then CACHED, DONE, ERROR or CANCELED. A begun line of output is
written as far as it is known, and continued; one that the program rewrites is written when it ends, or every five
seconds in the state that it then has.
Reference: util/progress/progressui/printer.go of BuildKit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

from buildclient.base.units import progress_size
from buildclient.base.visible import one_line
from buildclient.contract.patterns import pattern
from buildclient.progress.closing import DEFAULT, Closing, closing_lines
from buildclient.progress.display import Display
from buildclient.progress.events import VertexStatus
from buildclient.progress.groups import Groups
from buildclient.progress.logtext import LogLine
from buildclient.progress.state import Progress, ProgressRow

__all__ = ["Plain", "PlainDisplay"]

_STATUS_EVERY = 5.0
"""Seconds between two lines about one transfer that made little progress, or about one line that is rewritten."""
_STATUS_STEP = 0.05
_STAY = 5.0
"""Seconds for which plain text stays with a row before another one that works gets its turn."""
_STYLES = pattern(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"
_NOTHING = "\0"
"""Stands for the state of a line of which none has been written."""


class PlainDisplay(Display):
    """Writes the lines of `Plain` to a stream."""

    def __init__(self, out: TextIO, closing: Closing = DEFAULT, groups: Groups | None = None) -> None:
        super().__init__(out, Progress(fresh=True))
        self._plain = Plain(self.progress, groups)
        self._closing = closing

    def describe(self, name: str, driver: str) -> None:
        """Names the builder above the first step."""
        self._plain.heading = f'building with "{one_line(name)}" instance using {driver} driver'

    def show(self) -> None:
        """Writes what is new."""
        if text := self._plain.text(time.time()):
            self._out.write(text)
            self._out.flush()

    def end(self, failed: bool) -> None:
        """Writes the rest, and what failed once more."""
        text = self._plain.text(time.time(), final=True)
        lines = closing_lines(self.progress, self._closing, self.seconds(), failed=failed)
        self._out.write(text + "".join(f"{line}\n" for line in lines))
        self._out.flush()


class Plain:
    """Turns the state into text; each call of `text` returns what is new."""

    def __init__(self, progress: Progress, groups: Groups | None = None) -> None:
        """`groups` folds each row's lines in the log of a CI service."""
        self.heading = ""
        """Stands above the first row as `#0`."""
        self._progress = progress
        self._groups = groups
        self._current: ProgressRow | None = None
        self._since = 0.0
        self._numbers: dict[ProgressRow, int] = {}
        self._finished: dict[ProgressRow, float] = {}
        self._begun: dict[ProgressRow, LogLine] = {}
        """What has been written of the rows' begun lines."""
        self._warned: dict[ProgressRow, int] = {}
        self._statuses_told: dict[tuple[ProgressRow, str], VertexStatus] = {}
        self._open_line = False
        """Whether the text ends in the middle of a line."""

    def text(self, now: float, *, final: bool = False) -> str:
        """New text; `now` is this machine's time. `final` holds nothing back, and ends every line."""
        found = "".join(self._parts(now, final))
        if final:
            found += self._line_end()
            if self._groups:
                found += self._groups.close()
        return found

    def _parts(self, now: float, final: bool) -> Iterator[str]:
        waiting = self._progress.changed
        rows = [row for row in waiting if row.started is not None]
        # What has ended comes first, so that the row shown last is one that still works.
        for row in sorted(rows, key=lambda row: (not row.completed, row is not self._current, row.started)):
            other = self._current is not None and row is not self._current
            if other and not row.completed and not final and now - self._since < _STAY:
                continue
            waiting.pop(row)
            before = self._current
            yield from self._show(row, self._progress.clock(row, now), final)
            if self._current is not before:
                self._since = now

    def _show(self, row: ProgressRow, now: float, final: bool) -> Iterator[str]:
        ended = row.completed and self._finished.get(row) != row.ended
        news = [*self._statuses(row), *self._warnings(row)]
        if not (news or row.fresh or ended or row.begun) and (row in self._numbers or row is self._current):
            return
        yield from self._head(row, folded=bool(news or row.fresh or row.begun or not ended))
        number = self._numbers[row]
        if news:
            yield self._line_end()
            yield from (f"#{number} {line}\n" for line in news)
        yield from self._log(row, number, now, final)
        if ended:
            yield self._line_end()
            if self._groups:
                yield self._groups.close()
            yield f"#{number} {row.verdict(now)}\n"
            self._finished[row] = row.ended or 0.0
            self._current = None

    def _head(self, row: ProgressRow, *, folded: bool) -> Iterator[str]:
        if row is self._current:
            return
        if self._current is not None:
            yield self._line_end()
            self._begun.pop(self._current, None)
            if self._groups:
                yield self._groups.close()
            yield f"#{self._numbers[self._current]} ...\n"
        if self._numbers:
            yield "\n"
        elif self.heading:
            yield f"#0 {self.heading}\n\n"
        number = self._numbers.setdefault(row, len(self._numbers) + 1)
        head = f"#{number} {row.name}"
        yield self._groups.open(head) if self._groups and folded else f"{head}\n"
        self._current = row

    def _log(self, row: ProgressRow, number: int, now: float, final: bool) -> Iterator[str]:
        """The lines of output that ended, and as much of the next one as there is."""
        fresh = row.fresh or []
        for line in fresh:
            begun = self._begun.pop(row, None)
            if begun is None:
                yield f"#{number} {row.timed(line)}\n"
            elif not begun.rewritten and (rest := _continued(begun.text, line.text)) is not None and self._open_line:
                yield f"{rest}\n"
                self._open_line = False
            else:
                yield self._line_end()
                if line.text != begun.text:
                    yield f"#{number} {row.timed(line)}\n"
        fresh.clear()
        line_begun = row.begun
        if line_begun is not None and not row.completed:
            yield from self._partial(row, number, line_begun, now, final)

    def _partial(self, row: ProgressRow, number: int, line: LogLine, now: float, final: bool) -> Iterator[str]:
        told = self._begun.get(row)
        if line.rewritten:
            yield from self._state(row, number, line, now, final)
        elif told is None or not self._open_line:
            yield f"#{number} {row.timed(line)}"
        elif (rest := _continued(told.text, line.text)) is not None:
            yield rest
        if not line.rewritten:
            self._begun[row] = line
            self._open_line = True

    def _state(self, row: ProgressRow, number: int, line: LogLine, now: float, final: bool) -> Iterator[str]:
        """The state of a line that the program rewrites, from time to time."""
        told = self._begun.get(row) or LogLine(_NOTHING, line.stamp, True)
        if not told.rewritten:
            yield self._line_end()
            told = told._replace(stamp=now, rewritten=True)
        if told.text != line.text and (final or now - (told.stamp or 0.0) >= _STATUS_EVERY):
            yield self._line_end()
            yield f"#{number} {row.timed(line._replace(stamp=row.last_output))}\n"
            told = LogLine(line.text, now, True)
        self._begun[row] = told
        if told.text != line.text:
            self._progress.changed[row] = None

    def _line_end(self) -> str:
        begun, self._open_line = self._open_line, False
        return "\n" if begun else ""

    def _warnings(self, row: ProgressRow) -> Iterator[str]:
        told = self._warned.get(row, 0)
        if len(row.warnings) > told:
            self._warned[row] = len(row.warnings)
            yield from (f"WARN: {short}" for short in row.warnings[told:])

    def _statuses(self, row: ProgressRow) -> Iterator[str]:
        for status in row.statuses.values():
            told = self._statuses_told.get((row, status.id))
            if told is not None and (told.completed is not None or told == status):
                continue
            if told is not None and status.completed is None and not _moved(told, status):
                continue
            self._statuses_told[row, status.id] = status
            yield _status_line(status)


def _continued(begun: str, line: str) -> str | None:
    """What is to be written after the beginning of a line, in the colours that it ends with; None if it changed."""
    written = begun.removesuffix(_RESET)
    if not line.startswith(written):
        return None
    rest = line[len(written) :]
    return rest if written == begun else "".join(_STYLES.findall(written)) + rest


def _moved(old: VertexStatus, new: VertexStatus) -> bool:
    step = (new.current - old.current) / new.total if new.total else 0.0
    return step >= _STATUS_STEP or (new.timestamp or 0) - (old.timestamp or 0) >= _STATUS_EVERY


def _status_line(status: VertexStatus) -> str:
    text = one_line(status.id)
    if status.total:
        text += f" {progress_size(status.current)} / {progress_size(status.total)}"
    elif status.current:
        text += f" {progress_size(status.current)}"
    end = status.completed or status.timestamp
    if status.started is not None and end is not None and end - status.started > 0.01:
        text += f" {end - status.started:.1f}s"
    return f"{text} done" if status.completed is not None else text
