"""Progress events of a build: vertices, their sub-steps, logs, warnings; and what the client has to say of itself.

But for the last two, the shape of BuildKit's `StatusResponse` (api/services/control/control.proto) without protobuf, so
that progress is a pure function from events to state. Times are seconds since the epoch on the daemon's clock;
None where the daemon sent none. `node` says which builder node speaks (empty for the client itself), `build` which
of several builds it is about (empty where there is one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = [
    "Compressed",
    "Event",
    "EventSink",
    "Log",
    "SolveStarted",
    "SourceRange",
    "Vertex",
    "VertexStatus",
    "Warned",
    "distinct",
    "of_build",
]


class Vertex(NamedTuple):
    """The state of a step; a later event with the same digest replaces it."""

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    cached: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""
    group: str = ""
    """Id of the progress group: vertices of one group make one row."""
    group_name: str = ""
    group_weak: bool = False
    node: str = ""
    build: str = ""


class VertexStatus(NamedTuple):
    """Progress inside a vertex: a transfer, an extraction."""

    vertex: str
    id: str
    name: str = ""
    current: int = 0
    total: int = 0
    """Bytes, or 0 where unknown."""
    timestamp: float | None = None
    started: float | None = None
    completed: float | None = None
    node: str = ""
    build: str = ""


class Log(NamedTuple):
    """A piece of a step's output; may end in the middle of a line or of a character."""

    vertex: str
    stream: int
    """1 standard output, 2 standard error."""
    data: bytes
    timestamp: float | None = None
    node: str = ""
    build: str = ""


class SourceRange(NamedTuple):
    """Lines of a Dockerfile, first and last, counted from 1."""

    start: int
    end: int


class Warned(NamedTuple):
    """A warning of the frontend, such as a build check."""

    vertex: str
    level: int
    short: str
    detail: tuple[str, ...] = ()
    url: str = ""
    filename: str = ""
    source: bytes = b""
    ranges: tuple[SourceRange, ...] = ()
    node: str = ""
    language: str = ""
    """Of the source, such as `Dockerfile`."""
    build: str = ""


class SolveStarted(NamedTuple):
    """A node begins to build: which daemon, and what. Comes from the client, before the daemon's own events."""

    node: str
    """The name of the node, as the other events of the build carry it: empty where one node builds all."""
    name: str
    """The name of the node in its builder."""
    ref: str
    """The build's id on that node's daemon."""
    platforms: tuple[str, ...] = ()
    """What it builds; empty for the platform of the daemon."""
    pod: str = ""
    """Empty for a daemon at an address."""
    build: str = ""


class Compressed(NamedTuple):
    """Context that was sent compressed to a node. Comes from the client, after the daemon's own events."""

    size: int
    """Bytes before compression."""
    sent: int
    """Bytes after it."""
    node: str = ""
    build: str = ""


def distinct(warnings: Iterable[Warned]) -> list[Warned]:
    """Drops duplicate warnings, which several builds of one file may each report."""
    found: dict[Warned, Warned] = {}
    for warning in warnings:
        found.setdefault(warning._replace(vertex="", node="", build=""), warning)
    return list(found.values())


Event = Vertex | VertexStatus | Log | Warned | SolveStarted | Compressed

EventSink = Callable[[Event], None]
"""Called with each event, from one thread; must not block."""


def of_build(sink: EventSink, name: str) -> EventSink:
    """Returns a sink that sets `build` of every event, so that several builds can share one display:

        await builder.build_async(request, of_build(sink, "web"))

    The name precedes the build's steps.
    """
    return lambda event: sink(event._replace(build=name))
