"""Progress as a pure function: events in, rows out.

Rules
- A row is a vertex, or all vertices of one progress group; plain text numbers it when it is first shown.
- Vertices start and end several times; a row's time is the sum of its intervals, overlaps counted once.
- A row's output is kept until the row succeeds, so that it can be shown again when it fails: the last lines, and no
  more than KEPT_BYTES.
- What a display asks for often is counted as events come: a build may have thousands of rows.
Reference: util/progress/progressui of BuildKit.
"""

from __future__ import annotations

from bisect import insort

from buildclient.progress.events import Compressed, Event, Log, SolveStarted, Vertex, Warned
from buildclient.progress.row import KEPT_BYTES, ProgressRow

__all__ = ["KEPT_BYTES", "KEPT_LINES", "Progress", "ProgressRow", "Section"]

KEPT_LINES = 10
"""Lines of a row's output that plain text shows again when it fails, as BuildKit's does."""


class Section:
    """The rows of one node, or of the client itself."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.shown: list[ProgressRow] = []
        """Those that have started, in that order."""
        self.running: dict[ProgressRow, None] = {}
        self.total = 0
        self.done = 0
        self.cached = 0

    def count(self, row: ProgressRow, *, done: int, cached: int) -> None:
        """Counts a row that began or ended; `done` and `cached` are what that adds to the sums."""
        self.done += done
        self.cached += cached
        if row.completed:
            self.running.pop(row, None)
        else:
            self.running[row] = None


class Progress:
    """The state of a build's progress."""

    def __init__(self, kept: int | None = KEPT_LINES, *, fresh: bool = False) -> None:
        """`kept` are the lines of output that are kept of a row, None for all up to KEPT_BYTES.

        With `fresh` each row also holds its new lines until somebody takes them.
        """
        self.rows: dict[str, ProgressRow] = {}
        self.sections: dict[str, Section] = {}
        """By node, in the order in which they were first heard of."""
        self.warnings: list[Warned] = []
        self.solves: dict[tuple[str, str], SolveStarted] = {}
        """By build and node, the last one."""
        self.compressed = self.compressed_to = 0
        """Bytes of contexts that were sent compressed, before and after."""
        self.changed: dict[ProgressRow, None] = {}
        """Rows that were fed something since plain text last looked."""
        self._kept, self._fresh = kept, fresh
        self._row_of: dict[tuple[str, str, str], ProgressRow] = {}
        self._ahead: dict[str, float] = {}

    def feed(self, event: Event, received: float | None = None) -> None:
        """Takes one event; `received` is this machine's time, by which the daemon's clock is known."""
        if isinstance(event, Vertex):
            stamp = event.completed or event.started
        elif isinstance(event, SolveStarted):
            self.solves[event.build, event.node] = event
            return
        elif isinstance(event, Compressed):
            self.compressed += event.size
            self.compressed_to += event.sent
            return
        else:
            stamp = None if isinstance(event, Warned) else event.timestamp
        if received is not None and stamp is not None:
            self._ahead[event.node] = max(stamp - received, self._ahead.get(event.node, float("-inf")))
        if isinstance(event, Vertex):
            self._vertex(event)
            return
        row = self._row_of.get((event.build, event.node, event.vertex))
        if isinstance(event, Warned):
            self.warnings.append(event)
            if row is not None:
                row.take_warning(event)
        elif row is None:
            return
        elif isinstance(event, Log):
            row.take_log(event)
        else:
            row.take_status(event)
        if row is not None:
            self.changed[row] = None

    def clock(self, row: ProgressRow, now: float) -> float:
        """This machine's time as the row's daemon tells it."""
        return now + self._ahead.get(row.node, 0.0)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    @property
    def done(self) -> int:
        """How many of them have ended."""
        return sum(section.done for section in self.sections.values())

    @property
    def nodes(self) -> list[Section]:
        """The sections of nodes, without the client's own."""
        return [section for node, section in self.sections.items() if node]

    def failed(self) -> list[ProgressRow]:
        """The rows that failed, not those that were cancelled because of it."""
        return [row for row in self.rows.values() if row.error and not row.cancelled]

    def _vertex(self, vertex: Vertex) -> None:
        key = vertex.build, vertex.node, vertex.digest
        row = self._row_of.get(key)
        if row is None or vertex.group:
            if vertex.group and vertex.group_weak and vertex.started is None:
                return
            place = "\0".join((*key[:2], *(("group", vertex.group) if vertex.group else key[2:])))
            row = self.rows.get(place)
            if row is None:
                row = self.rows[place] = ProgressRow(vertex, self._kept, [] if self._fresh else None)
                self.sections.setdefault(vertex.node, Section(vertex.node)).total += 1
            self._row_of[key] = row
        if vertex.started is None:
            row.take_vertex(vertex.digest, vertex)
            return
        section = self.sections[vertex.node]
        first, done, cached = row.started is None, row.completed, row.completed and row.cached
        row.take_vertex(vertex.digest, vertex)
        self.changed[row] = None
        if first:
            insort(section.shown, row, key=lambda one: one.started or 0.0)
        section.count(row, done=row.completed - done, cached=(row.completed and row.cached) - cached)
