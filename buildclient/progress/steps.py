"""The client's own steps in the progress, beside those of the daemons; and an end for steps that a daemon left open."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable

from buildclient.base.errors import ClientError
from buildclient.progress.events import Event, EventSink, Log, Vertex, VertexStatus
from buildclient.progress.row import CANCELLED

__all__ = ["ClientStep", "OpenSteps", "client_step"]


class OpenSteps:
    """Passes a daemon's events on, and knows which steps have no end.

    When a solve is given up, because another node failed or somebody interrupted it, nobody waits for the daemon to say
    how its steps ended: `cancel` says it.
    """

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._open: dict[str, Vertex] = {}
        self._ahead = float("-inf")

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        if isinstance(event, Vertex) and event.started is not None:
            self._ahead = max(self._ahead, (event.completed or event.started) - time.time())
            if event.completed is None:
                self._open[event.digest] = event
            else:
                self._open.pop(event.digest, None)
        self._sink(event)

    def cancel(self) -> None:
        """Ends every open step as cancelled, at this moment on the daemon's clock."""
        for vertex in self._open.values():
            end = max(time.time() + self._ahead, vertex.started or 0.0)
            self._sink(vertex._replace(completed=end, error=CANCELLED))
        self._open.clear()


class ClientStep:
    """A step of the client's own, which begins at once."""

    def __init__(self, sink: EventSink, name: str) -> None:
        self._sink = sink
        self._vertex = Vertex(f"client:{secrets.token_hex(8)}", name, started=time.time())
        sink(self._vertex)

    def part(self, text: str) -> None:
        """Shows a part of it that is done."""
        now = time.time()
        self._sink(VertexStatus(self._vertex.digest, text, started=self._vertex.started, timestamp=now, completed=now))

    def say(self, text: str) -> None:
        """Adds a line to its output."""
        self._sink(Log(self._vertex.digest, 1, f"{text}\n".encode(), time.time()))

    def end(self, error: str = "") -> None:
        """Ends it; failed, if there is an error."""
        self._sink(self._vertex._replace(completed=time.time(), error=error))


@contextlib.asynccontextmanager
async def client_step(sink: EventSink, name: str) -> AsyncIterator[Callable[[str], None]]:
    """Shows what is done inside as one step, failed where a ClientError or a cancellation comes out of it.

    The value is called with a text for each part that is done.
    """
    step = ClientStep(sink, name)
    try:
        yield step.part
    except (ClientError, asyncio.CancelledError) as error:
        step.end(str(error) or CANCELLED)
        raise
    step.end()
