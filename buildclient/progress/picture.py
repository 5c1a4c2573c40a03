"""What the live display shows: the state of the progress as lines, as many as there is room for.

The lines are those of BuildKit's display: a row, below it its transfers, its warnings and the last lines of its output.
Of several nodes each has a heading. Reference: util/progress/progressui/display.go of BuildKit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buildclient.base.units import progress_rate, progress_size, time_left
from buildclient.base.visible import one_line
from buildclient.progress.columns import bare, cut, width
from buildclient.progress.events import VertexStatus
from buildclient.progress.state import Progress, ProgressRow, Section

__all__ = ["Line", "Picture", "fitted"]

_LEAST_NAME = 12
"""Columns below which what stands beside a name makes way for it."""
_LEAST_SECTION = 3
"""Lines below which a node has but one."""


class Line(NamedTuple):
    """A line of the live display."""

    text: str
    tail: str = ""
    """What follows the text, and is not cut: bytes."""
    right: str = ""
    """What stands at the right edge."""
    state: str = ""
    """A key of the colours."""


def fitted(line: Line, columns: int) -> str:
    """The line as it fits into so many columns."""
    room = columns
    right, tail = line.right, line.tail
    if right and columns - len(right) - 1 >= _LEAST_NAME:
        room -= len(right) + 1
    else:
        right = ""
    if tail and room - len(tail) - 1 >= _LEAST_NAME:
        text = f"{cut(line.text, room - len(tail) - 1)} {tail}"
    else:
        text = cut(line.text, room)
    return f"{text}{' ' * (columns - width(text) - len(right))}{right}" if right else text


class Picture:
    """Makes the lines of a progress."""

    def __init__(self, progress: Progress, log_lines: int) -> None:
        """`log_lines` of its output are shown below a row that works."""
        self._progress = progress
        self._log_lines = log_lines

    def lines(self, now: float, room: int) -> list[Line]:
        """The most telling `room` lines: of what works all, and what it says; then what ended last."""
        sections = self._sections()
        headed = [section for section in sections if section.node]
        if headed and room // len(sections) < _LEAST_SECTION:
            working = [section for section in headed if section.running]
            chosen = (working or headed)[:room]
            return [self._heading(section, now, brief=True) for section in chosen]
        left, found = room, {}
        for number, section in enumerate(sorted(sections, key=lambda one: len(one.shown))):
            found[section] = self._section(section, now, left // (len(sections) - number))
            left -= len(found[section])
        return [line for section in sections for line in found[section]]

    def whole(self, now: float) -> list[Line]:
        """All lines, without the output of what still works."""
        found = []
        for section in self._sections():
            if section.node:
                found.append(self._heading(section, now))
            for row in section.shown:
                found += [self._row(row, now, section), *self._details(row, now)]
        return found

    def _sections(self) -> list[Section]:
        """The rows of each node under its name, the client's own before and after; all in one where there is one."""
        progress, nodes = self._progress, self._progress.nodes
        if len(nodes) < 2 and len({node for _, node in progress.solves}) < 2:
            filled = [section for section in progress.sections.values() if section.shown]
            return filled if len(filled) < 2 else [_merged(filled)]
        own = progress.sections.get("")
        if own is None:
            return nodes
        begun = min((section.shown[0].started or 0.0 for section in nodes if section.shown), default=0.0)
        before, after = Section(""), Section("")
        for row in own.shown:
            section = before if (row.started or 0.0) <= begun else after
            section.shown.append(row)
            if not row.completed:
                section.running[row] = None
        return [section for section in (before, *nodes, after) if section.node or section.shown]

    def _section(self, section: Section, now: float, room: int) -> list[Line]:
        """A section in at most so many lines."""
        head = [self._heading(section, now)] if section.node else []
        left = room - len(head)
        if left <= 0:
            return head[:room]
        running = list(section.running)[-left:]
        left -= len(running)
        blocks: dict[ProgressRow, list[Line]] = {}
        for row in reversed(running):
            more = [*self._details(row, now), *self._output(row)]
            more = more[-left:] if left else []
            left -= len(more)
            blocks[row] = [self._row(row, now, section), *more]
        for row in reversed(section.shown):
            if left <= 0:
                break
            if row.completed:
                block = [self._row(row, now, section), *self._details(row, now)][:left]
                left -= len(block)
                blocks[row] = block
        ordered = sorted(blocks, key=lambda row: row.started or 0.0)
        return [*head, *(line for row in ordered for line in blocks[row])]

    def _heading(self, section: Section, now: float, *, brief: bool = False) -> Line:
        cached = f", {section.cached} cached" if section.cached else ""
        text = f" {one_line(section.node)} ({section.done}/{section.total}{cached})"
        solve = next((solve for (_, node), solve in self._progress.solves.items() if node == section.node), None)
        if brief:
            row = next(reversed(section.running), None)
            text += f"  {bare(row.title)}" if row is not None else ""
        elif solve is not None:
            what = [one_line(part) for part in (",".join(solve.platforms), solve.pod) if part]
            text += f"  {' on '.join(what)}" if what else ""
        if not section.shown:
            return Line(text, state="heading")
        first = section.shown[0]
        end = self._progress.clock(first, now)
        if not section.running:
            end = max(row.ended or 0.0 for row in section.shown)
        return Line(text, right=f"{max(0.0, end - (first.started or end)):.1f}s", state="heading")

    def _row(self, row: ProgressRow, now: float, section: Section) -> Line:
        mark = kind = ""
        if row.completed:
            kind = "cancel" if row.cancelled else "error" if row.error else "run"
        if row.cancelled or row.error:
            mark = "CANCELED " if row.cancelled else "ERROR "
        elif row.cached:
            mark = "CACHED "
        name = row.title if section.node else row.name
        return Line(f" => {mark}{bare(name)}", right=self._seconds(row, now), state=kind)

    def _seconds(self, row: ProgressRow, now: float) -> str:
        return _timer(row.seconds(self._progress.clock(row, now)))

    def _details(self, row: ProgressRow, now: float) -> Iterator[Line]:
        clock = self._progress.clock(row, now)
        for status in row.statuses.values():
            yield _transfer(status, row, clock)
        for short in row.warnings:
            yield Line(f" => WARN: {short}", right=self._seconds(row, now), state="warning")

    def _output(self, row: ProgressRow) -> list[Line]:
        shown = [row.log[at] for at in range(-min(self._log_lines, len(row.log)), 0)]
        if self._log_lines and (begun := row.begun) is not None:
            shown = [*shown, row.timed(begun)][-self._log_lines :]
        return [Line(f" => => # {bare(one)}", state="log") for one in shown]


def _merged(sections: Sequence[Section]) -> Section:
    found = Section("")
    found.shown = sorted((row for section in sections for row in section.shown), key=lambda row: row.started or 0.0)
    working = sorted((row for section in sections for row in section.running), key=lambda row: row.started or 0.0)
    found.running = dict.fromkeys(working)
    return found


def _transfer(status: VertexStatus, row: ProgressRow, now: float) -> Line:
    """A transfer with its bytes; while it lasts, how fast it goes and how long it will yet take."""
    tail = progress_size(status.current) if status.current or status.total else ""
    if status.total:
        tail += f" / {progress_size(status.total)}"
    end = status.completed
    if end is None and not row.completed:
        tail += _speed(status, row, now)
    right = "" if status.started is None else _timer((now if end is None else end) - status.started)
    done = end is not None or row.completed
    if done and end is None:
        right = ""
    return Line(f" => => {bare(one_line(status.id))}", tail, right, "run" if done else "")


def _speed(status: VertexStatus, row: ProgressRow, now: float) -> str:
    moves = row.moves.get(status.id)
    if not moves or now - moves[0][0] < 0.5:
        return ""
    per_second = (status.current - moves[0][1]) / (now - moves[0][0])
    if per_second <= 0:
        return ""
    left = (status.total - status.current) / per_second if status.total else 0.0
    return f"  {progress_rate(per_second)}{f', {time_left(left)} left' if left >= 1 else ''}"


def _timer(seconds: float) -> str:
    return f"{seconds if seconds >= 0.05 else 0.0:.1f}s"
