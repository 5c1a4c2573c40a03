"""A row of the progress: a vertex or a progress group, with its times, transfers, warnings and output."""

from __future__ import annotations

from collections import deque

from buildclient.base.visible import one_line, visible
from buildclient.progress.events import Log, Vertex, VertexStatus, Warned
from buildclient.progress.logtext import LogLine, LogLines

__all__ = ["CANCELLED", "KEPT_BYTES", "ProgressRow"]

CANCELLED = "context canceled"
"""The end of the error of a step that was ended because another one failed."""
KEPT_BYTES = 4 << 20
"""Characters of a row's output that are kept; BuildKit itself passes on 2 MiB a step, unless told otherwise."""
_MOVE_SECONDS = 5.0
"""Over which a transfer's rate is measured."""


class ProgressRow:
    """One line of the progress and what belongs to it."""

    def __init__(self, vertex: Vertex, kept: int | None = None, fresh: list[LogLine] | None = None) -> None:
        """`vertex` names it; `kept` are the lines of output to keep, None for all, and `fresh` takes every line."""
        title = (vertex.group_name or vertex.name) if vertex.group else vertex.name
        node, build = vertex.node, vertex.build
        self.title = one_line(_within(build, title))
        """The name without the node's."""
        self.name = one_line(_within(build, _within(node, title)))
        """With the node's, as docker buildx puts a prefix."""
        self.node, self.build = node, build
        self.vertices: dict[str, Vertex] = {}
        self.statuses: dict[str, VertexStatus] = {}
        self.moves: dict[str, deque[tuple[float, int]]] = {}
        """By status, when how many bytes had been moved."""
        self.warnings: list[str] = []
        self.log: deque[str] = deque(maxlen=kept)
        """The last lines of its output, each with its time."""
        self.lines_dropped = 0
        self.fresh = fresh
        """Lines that plain text has not shown yet; None where nobody takes them."""
        self.last_output: float | None = None
        """When it last printed something."""
        self.started: float | None = None
        """When it first started, in seconds on the daemon's clock."""
        self.ended: float | None = None
        """When it last ended."""
        self._began = 0.0
        """The last time that it started after everything in it had ended."""
        self._lines = LogLines()
        self._kept_bytes = 0
        self._spans: dict[tuple[str, float], float | None] = {}
        self._open = 0

    @property
    def completed(self) -> bool:
        """Whether every vertex in it that started has ended."""
        return bool(self._spans) and not self._open

    @property
    def error(self) -> str:
        """The error; empty if there is none."""
        return next((vertex.error for vertex in self.vertices.values() if vertex.error), "")

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled because something else failed."""
        return self.error.endswith(CANCELLED)

    @property
    def cached(self) -> bool:
        """Whether all of it came from the cache."""
        return all(vertex.cached for vertex in self.vertices.values())

    @property
    def begun(self) -> LogLine | None:
        """The line of output that has no end yet."""
        return self._lines.begun

    def seconds(self, now: float) -> float:
        """Returns the seconds worked; `now` ends the intervals that still run."""
        total, reached = 0.0, float("-inf")
        for begin, end in sorted((begin, now if end is None else end) for (_, begin), end in self._spans.items()):
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

    def timed(self, line: LogLine) -> str:
        """A line of output after its seconds since the start, with three digits that count, as BuildKit has it."""
        if line.stamp is None or self.started is None:
            return line.text
        since = max(0.0, line.stamp - self._began)
        return f"{since:.{3 if since < 10 else 2 if since < 100 else 1}f} {line.text}"

    def take_vertex(self, key: str, vertex: Vertex) -> None:
        """Takes a state of one of its vertices."""
        self.vertices[key] = vertex
        if vertex.started is None:
            return
        span = key, vertex.started
        if span not in self._spans and not self._open and (self.ended is None or vertex.started > self.ended):
            self._began = vertex.started
        self._open += (vertex.completed is None) - (span in self._spans and self._spans[span] is None)
        self._spans[span] = vertex.completed
        self.started = vertex.started if self.started is None else min(self.started, vertex.started)
        if self.completed:
            self.ended = max(vertex.completed or 0.0, self.ended or 0.0)
            if (line := self._lines.close()) is not None:
                self._keep([line])
            if not self.error:
                self.log.clear()
                self._kept_bytes = self.lines_dropped = 0

    def take_status(self, status: VertexStatus) -> None:
        """Takes the state of a transfer."""
        self.statuses[status.id] = status
        if status.current and status.timestamp is not None:
            moves = self.moves.setdefault(status.id, deque())
            moves.append((status.timestamp, status.current))
            while len(moves) > 2 and moves[0][0] < status.timestamp - _MOVE_SECONDS:
                moves.popleft()

    def take_log(self, log: Log) -> None:
        """Takes a piece of output."""
        self._keep(self._lines.feed(log.data, log.timestamp))
        self.last_output = log.timestamp

    def take_warning(self, warning: Warned) -> None:
        """Takes a warning."""
        self.warnings.append(one_line(warning.short))

    def _keep(self, lines: list[LogLine]) -> None:
        if self.fresh is not None:
            self.fresh += lines
        if self.log.maxlen is not None:
            lines = lines[-self.log.maxlen :]
        for line in lines:
            text = self.timed(line)
            self.log.append(text)
            self._kept_bytes += len(text)
        while self.log.maxlen is None and self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self.log.popleft())
            self.lines_dropped += 1


def _within(place: str, name: str) -> str:
    """A step's name with the node or the build that it is of, as docker buildx puts a prefix."""
    if not place:
        return name
    return f"[{place} {name[1:]}" if name.startswith("[") else f"[{place}] {name}"
