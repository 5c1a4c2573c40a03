"""Progress as a pure function: events in, rows and lines out.

Rules
- A row is a vertex, or all vertices of one progress group; it gets its number when it is first shown.
- Vertices start and end several times; a row's time is the sum of its intervals, overlaps counted once.
- Plain text shows one row at a time: `#N name`, its lines, then CACHED, DONE, ERROR or CANCELED, as BuildKit does.
Reference: util/progress/progressui of BuildKit.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildclient.base.visible import log_text, one_line, visible
from buildclient.progress.events import Event, Log, Vertex, VertexStatus, Warned, distinct

__all__ = ["Plain", "Progress", "ProgressRow", "size"]

_CANCELLED = "context canceled"
_KEPT_LOG = 10
"""Lines of a row's log that are kept to be shown again when it fails."""
_STATUS_EVERY = 5.0
"""Seconds between two lines about one transfer that made little progress."""
_STATUS_STEP = 0.05
_STAY = 5.0
"""Seconds for which plain text stays with a row before another one that works gets its turn."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressRow:
    """One line of the progress and what belongs to it."""

    def __init__(self, name: str, node: str = "") -> None:
        self.name = name
        self.node = node
        self.number = 0
        self.vertices: dict[str, Vertex] = {}
        self.spans: dict[str, dict[float, float | None]] = {}
        self.statuses: dict[str, VertexStatus] = {}
        self.log: list[str] = []
        """The last lines of its output, each with its time."""
        self.fresh: list[str] = []
        """Lines that plain text has not shown yet."""
        self.partial: dict[int, tuple[bytes, float | None]] = {}
        """By stream, the begun line and the time of its last piece."""
        self.warnings: list[str] = []
        """Those that plain text has not shown yet."""
        self.changed = False
        self.finished_shown = False

    @property
    def started(self) -> float | None:
        """When it first started, in seconds on the daemon's clock."""
        return min((begin for spans in self.spans.values() for begin in spans), default=None)

    @property
    def completed(self) -> bool:
        """Whether every vertex in it that started has ended."""
        ends = [end for spans in self.spans.values() for end in spans.values()]
        return bool(ends) and all(end is not None for end in ends)

    @property
    def error(self) -> str:
        """The error; empty if there is none."""
        return next((vertex.error for vertex in self.vertices.values() if vertex.error), "")

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled because something else failed."""
        return self.error.endswith(_CANCELLED)

    @property
    def cached(self) -> bool:
        """Whether all of it came from the cache."""
        return all(vertex.cached for vertex in self.vertices.values())

    def seconds(self, now: float) -> float:
        """Returns the seconds worked; `now` ends the intervals that still run."""
        spans = sorted((b, now if e is None else e) for each in self.spans.values() for b, e in each.items())
        total, reached = 0.0, float("-inf")
        for begin, end in spans:
            total += max(0.0, end - max(begin, reached))
            reached = max(reached, end)
        return total

    def verdict(self, now: float) -> str:
        """Returns how it ended, in BuildKit's words."""
        if self.cancelled:
            return "CANCELED"
        if self.error:
            return f"ERROR: {visible(self.error)}"
        return "CACHED" if self.cached else f"DONE {self.seconds(now):.1f}s"


class Progress:
    """The state of a build's progress."""

    def __init__(self) -> None:
        self.rows: dict[str, ProgressRow] = {}
        self.warnings: list[Warned] = []
        self._row_of: dict[str, str] = {}
        self._ahead: dict[str, float] = {}

    def feed(self, event: Event, received: float | None = None) -> None:
        """Takes one event; `received` is this machine's time, by which the daemon's clock is known."""
        stamp = (event.completed or event.started) if isinstance(event, Vertex) else getattr(event, "timestamp", None)
        if received is not None and stamp is not None:
            self._ahead[event.node] = max(stamp - received, self._ahead.get(event.node, float("-inf")))
        speaker = f"{event.build}\0{event.node}"
        key = f"{speaker}\0{event.digest if isinstance(event, Vertex) else event.vertex}"
        if isinstance(event, Vertex):
            self._vertex(speaker, key, event)
            return
        row = self.rows.get(self._row_of.get(key, ""))
        if isinstance(event, Warned):
            self.warnings.append(event)
            if row is not None:
                row.warnings.append(one_line(event.short))
                row.changed = True
        elif row is None:
            return
        elif isinstance(event, VertexStatus):
            row.statuses[event.id] = event
            row.changed = True
        else:
            _log(row, event)

    def clock(self, row: ProgressRow, now: float) -> float:
        """This machine's time as the row's daemon tells it."""
        return now + self._ahead.get(row.node, 0.0)

    def shown(self) -> list[ProgressRow]:
        """The rows that have started, in that order."""
        return sorted((row for row in self.rows.values() if row.started is not None), key=lambda row: row.started or 0)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def done(self) -> int:
        """How many of them have ended."""
        return sum(row.completed for row in self.rows.values())

    def failed(self) -> list[ProgressRow]:
        """The rows that failed, not those that were cancelled because of it."""
        return [row for row in self.rows.values() if row.error and not row.cancelled]

    def _vertex(self, speaker: str, key: str, vertex: Vertex) -> None:
        if vertex.group and vertex.group_weak and vertex.started is None:
            return
        place = f"{speaker}\0group\0{vertex.group}" if vertex.group else key
        self._row_of[key] = place
        row = self.rows.get(place)
        if row is None:
            name = (vertex.group_name or vertex.name) if vertex.group else vertex.name
            shown = one_line(_within(vertex.build, _within(vertex.node, name)))
            row = self.rows[place] = ProgressRow(shown, vertex.node)
        row.vertices[key] = vertex
        if vertex.started is not None:
            spans = row.spans.setdefault(key, {})
            spans[vertex.started] = vertex.completed
            row.changed = True
            row.finished_shown = False
        if row.completed:
            for line, stamp in row.partial.values():
                _line(row, line, stamp)
            row.partial = {}


def _within(place: str, name: str) -> str:
    """A step's name with the node or the build that it is of, as docker buildx puts a prefix."""
    if not place:
        return name
    return f"[{place} {name[1:]}" if name.startswith("[") else f"[{place}] {name}"


def _log(row: ProgressRow, event: Log) -> None:
    begun, _ = row.partial.pop(event.stream, (b"", None))
    *lines, rest = (begun + event.data).split(b"\n")
    if rest:
        row.partial[event.stream] = rest, event.timestamp
    for line in lines:
        _line(row, line, event.timestamp)
    row.changed = True


def _line(row: ProgressRow, line: bytes, stamp: float | None) -> None:
    shown = log_text(line.rstrip(b"\r").decode(errors="replace"))
    if stamp is not None and row.started is not None:
        shown = f"{max(0.0, stamp - row.started):.3f} {shown}"
    row.fresh.append(shown)
    row.log = [*row.log[-(_KEPT_LOG - 1) :], shown]


class Plain:
    """Turns the state into lines of plain text; asked again and again, it gives what is new."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._current: ProgressRow | None = None
        self._since = 0.0
        self._numbers = 0
        self._told: dict[tuple[int, str], VertexStatus] = {}

    def lines(self, now: float, *, final: bool = False) -> Iterator[str]:
        """New lines, without line ends; `now` is this machine's time. `final` holds nothing back."""
        rows = [row for row in self._progress.rows.values() if row.changed and row.started is not None]
        # What has ended comes first, so that the row shown last is one that still works.
        for row in sorted(rows, key=lambda row: (not row.completed, row is not self._current, row.started)):
            other = self._current is not None and row is not self._current
            if other and not row.completed and not final and now - self._since < _STAY:
                continue
            before = self._current
            yield from self._show(row, self._progress.clock(row, now))
            if self._current is not before:
                self._since = now

    def warnings(self) -> Iterator[str]:
        """Returns the frontend's warnings, each once."""
        found = distinct(self._progress.warnings)
        if found:
            yield ""
            yield f" {len(found)} warning{'s' if len(found) > 1 else ''} found:"
            yield from (f" - {one_line(warning.short)}" for warning in found)

    def last_words(self) -> Iterator[str]:
        """The log of what failed, once more, below everything else."""
        for row in self._progress.failed():
            if row.log:
                yield "------"
                yield f" > {row.name}:"
                yield from row.log
                yield "------"

    def _show(self, row: ProgressRow, now: float) -> Iterator[str]:
        row.changed = False
        ended = row.completed and not row.finished_shown
        news = [*self._statuses(row), *(f"WARN: {short}" for short in row.warnings), *row.fresh]
        row.fresh, row.warnings = [], []
        if not news and not ended and (row.number or row is self._current):
            return
        yield from self._head(row)
        yield from (f"#{row.number} {line}" for line in news)
        if ended:
            yield f"#{row.number} {row.verdict(now)}"
            row.finished_shown = True
            self._current = None

    def _head(self, row: ProgressRow) -> Iterator[str]:
        if row is self._current:
            return
        if self._current is not None:
            yield f"#{self._current.number} ..."
        if self._numbers:
            yield ""
        if not row.number:
            self._numbers += 1
            row.number = self._numbers
        yield f"#{row.number} {row.name}"
        self._current = row

    def _statuses(self, row: ProgressRow) -> Iterator[str]:
        for status in row.statuses.values():
            key = (id(row), status.id)
            told = self._told.get(key)
            if told is not None and (told.completed is not None or told == status):
                continue
            if told is not None and status.completed is None and not _moved(told, status):
                continue
            self._told[key] = status
            yield _status_line(status)


def size(count: int) -> str:
    """Formats bytes in units of 1000: `1.50MB`."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1000
    raise AssertionError


def _moved(old: VertexStatus, new: VertexStatus) -> bool:
    step = (new.current - old.current) / new.total if new.total else 0.0
    return step >= _STATUS_STEP or (new.timestamp or 0) - (old.timestamp or 0) >= _STATUS_EVERY


def _status_line(status: VertexStatus) -> str:
    text = one_line(status.id)
    if status.total:
        text += f" {size(status.current)} / {size(status.total)}"
    elif status.current:
        text += f" {size(status.current)}"
    end = status.completed or status.timestamp
    if status.started is not None and end is not None and end - status.started > 0.01:
        text += f" {end - status.started:.1f}s"
    return f"{text} done" if status.completed is not None else text
