"""The wait itself: watches in, status lines out, until ready, cancelled or out of time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from standins.provider.await_.readiness import Readiness, Source
from standins.provider.client import Client, Watch
from standins.provider.engine_log import StatusLine
from standins.provider.errors import Cancelled, StatusError, TimedOut, Unfinished, Unreachable
from standins.provider.objects import Object, namespace_of

__all__ = ["Canceller", "Events", "look", "wait_until_ready"]

_TROUBLE_SECONDS = 5.0
"""How long a wait goes on before pods' complaints are shown: most pass by themselves."""


class Canceller:
    """Whether the user has cancelled, and whom to tell."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Tells everybody who waits."""
        self._event.set()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def wait(self, seconds: float) -> None:
        """A pause, which a cancellation ends."""
        self._event.wait(seconds)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` on a cancellation; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return end


class Events:
    """Events of several watches in one queue. A context manager: leaving it ends the watches."""

    def __init__(self, client: Client, namespace: str, sources: Sequence[Source], canceller: Canceller) -> None:
        self._queue: queue.SimpleQueue[tuple[str, Object]] = queue.SimpleQueue()
        self._end_listening = canceller.listen(lambda: self._queue.put(("CANCELLED", {})))
        self._watches: list[Watch] = []
        for source in sources:
            path = client.resource(source.api_version, source.kind).path(namespace)
            self._watches.append(client.watch(path, self._put, **source.query()))

    def _put(self, event: str, target: Object) -> None:
        self._queue.put((event, target))

    def next(self, seconds: float) -> tuple[str, Object] | None:
        """The next event, or None if none comes within this time."""
        try:
            return self._queue.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_listening()
        for watch in self._watches:
            watch.close()


def wait_until_ready(
    client: Client, readiness: Readiness, line: StatusLine, seconds: float, canceller: Canceller
) -> Object:
    """The live object, once ready. Raises TimedOut, Cancelled, or Unfinished where the server refuses to be watched."""
    now = time.monotonic()
    deadline, trouble_at = now + seconds, now + _TROUBLE_SECONDS
    with Events(client, namespace_of(readiness.live), readiness.sources(), canceller) as events:
        while True:
            now = time.monotonic()
            ready = readiness.ready(now)
            _show(line, readiness.status())
            if ready:
                return readiness.live
            if canceller.cancelled:
                raise Cancelled(readiness.live, readiness.problems())
            if now >= deadline:
                raise TimedOut(readiness.live, readiness.problems())
            if now >= trouble_at:
                _show(line, readiness.trouble())
                trouble_at = now + _TROUBLE_SECONDS
            wake = readiness.wake_at()
            soonest = min([deadline, trouble_at, *([wake] if wake is not None and wake > now else [])])
            found = events.next(soonest - now)
            if found is None:
                continue
            if found[0] == "FAILED":
                raise Unfinished(f"it can't be watched: {found[1]['message']}", readiness.live)
            if found[0] in ("ADDED", "MODIFIED", "DELETED"):
                readiness.observe(*found, time.monotonic())


def _show(line: StatusLine, messages: Sequence[tuple[str, str]]) -> None:
    for severity, text in messages:
        line.show(severity, text)


def look(client: Client, readiness: Readiness, line: StatusLine) -> bool:
    """One look instead of a wait, as a refresh needs it: whether the object is ready now."""
    now = time.monotonic()
    for source in readiness.sources():
        path = client.resource(source.api_version, source.kind).path(namespace_of(readiness.live))
        try:
            answer = client.request("GET", path, **source.query())
        except (StatusError, Unreachable):
            continue
        for item in answer.get("items") or []:
            # Lists leave these out of their items.
            item.setdefault("apiVersion", source.api_version)
            item.setdefault("kind", source.kind)
            readiness.observe("ADDED", item, now)
    settle = getattr(readiness, "settle", None)
    if settle is not None:
        settle()
    ready = readiness.ready(now)
    if ready:
        _show(line, readiness.status())
    return ready
