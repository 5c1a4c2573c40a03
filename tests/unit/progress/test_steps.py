"""The client's own steps, and the end of steps that a daemon left open."""

from __future__ import annotations

import time

from buildclient.progress.events import Event, Log, Vertex, VertexStatus
from buildclient.progress.steps import OpenSteps, client_step


def test_open_steps_end_as_cancelled() -> None:
    """Those that started and did not end, at this moment on the daemon's clock; all events are passed on."""
    seen: list[Event] = []
    steps = OpenSteps(seen.append)
    ahead = time.time() + 1000
    given: list[Event] = [
        Vertex("a", "done", started=ahead - 5, completed=ahead),
        Vertex("b", "open", started=ahead),
        Vertex("c", "waits"),
        Log("b", 1, b"x"),
    ]
    for event in given:
        steps(event)
    steps.cancel()
    steps.cancel()
    assert seen[:4] == given
    (end,) = seen[4:]
    assert isinstance(end, Vertex)
    assert (end.digest, end.error) == ("b", "context canceled")
    assert end.completed is not None
    assert ahead <= end.completed < ahead + 60


async def test_a_client_s_step_tells_its_parts() -> None:
    """Each as a finished transfer of the step."""
    seen: list[Event] = []
    async with client_step(seen.append, "merging") as part:
        part("pushing manifest for r/app:1@sha256:abc")
    first, status, last = seen
    assert isinstance(first, Vertex)
    assert isinstance(status, VertexStatus)
    assert isinstance(last, Vertex)
    assert (status.vertex, status.id) == (first.digest, "pushing manifest for r/app:1@sha256:abc")
    assert status.completed is not None
    assert last.completed is not None
