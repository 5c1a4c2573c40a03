"""The pods that the keeper watches: the first list of a command takes no round trip where a watch has it already.

What a watch has told counts only while it is as good as a list would be:

* The connection of this very watch answers pings (`buildclient.kube.eventstream`): a network that is gone is no cluster
  in which nothing happens.
* An event or a bookmark has come in the last 90 seconds: the API server sends one a minute.
* The machine has not slept meanwhile: what waits in its sockets then is not read yet.
* It began with a list at most five minutes ago: rights that were taken away end no watch, but the next one.

Else, and for whoever may not watch, the cluster is asked as without a watch.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from buildclient.base.errors import UnreachableError
from buildclient.contract.jsontext import read_json
from buildclient.keep import wire
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.eventstream import EventStream
from buildclient.kube.pod import essence, table, tables

__all__ = ["BOUNDS", "Bounds", "Held", "HttpStatus", "TooLarge", "Watches"]

_LOG = logging.getLogger("buildclient.keep")
_WHAT = "cannot watch the pods"
_PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Seconds before a watch that failed or ended soon is begun again."""
_SOON = 30.0
"""Seconds that a watch has to last to count as one that did not fail."""
_PASSING = (408, 410, 429)
"""HTTP statuses below 500 with which another try may succeed."""


class Bounds(NamedTuple):
    """How much is watched, and how long it counts."""

    most: int = 16
    """Watches at a time; the one that was not used for the longest gives way."""
    size: int = 2 << 20
    """Bytes of one watch's pods: about a thousand."""
    longest: float = 300.0
    """Seconds of one watch; then the pods are listed anew."""
    heard: float = 90.0
    """Seconds without an event or a bookmark after which a watch does not count: bookmarks come once a minute
    (k8s.io/apiserver, storage/cacher, defaultBookmarkFrequency)."""
    slept: float = 1.0
    """Seconds by which the clocks may come apart: the monotonic one stands while the machine sleeps."""
    ping_interval: float = 4.0
    """Seconds between pings; a connection that is silent for one and a half of it does not count."""


class HttpStatus(ConnectionError):
    """An answer other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


BOUNDS = Bounds()


class TooLarge(Exception):
    """There are more pods than are held."""


class Held:
    """The pods of a list, and what events have changed. Pure."""

    def __init__(self, value: Mapping[str, Any], most: int = BOUNDS.size) -> None:
        """`value` is the API's list; `most` is in bytes. Raises TooLarge."""
        self._pods: dict[str, bytes] = {}
        self._size = 0
        self._most = most
        self.version = str(table(value.get("metadata")).get("resourceVersion") or "")
        """Of the list, where a watch goes on."""
        for raw in tables(value.get("items")):
            self._put(raw)

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes an event of the watch. Raises TooLarge."""
        raw = table(event.get("object"))
        if event.get("type") in ("ADDED", "MODIFIED"):
            self._put(raw)
        elif event.get("type") == "DELETED":
            self._size -= len(self._pods.pop(_name(raw), b""))

    def body(self) -> bytes:
        """The list as the API would give it, in its order, with as much of each pod as a command reads."""
        return b'{"items":[%s]}' % b",".join(self._pods[name] for name in sorted(self._pods))

    def _put(self, raw: Mapping[str, Any]) -> None:
        if not (name := _name(raw)):
            return
        pod = json.dumps(essence(raw)).encode()
        self._size += len(pod) - len(self._pods.get(name, b""))
        self._pods[name] = pod
        if self._size > self._most:
            raise TooLarge


def _name(raw: Mapping[str, Any]) -> str:
    return str(table(raw.get("metadata")).get("name") or "")


class Watches:
    """The watches of one keeper, one for the pods of each node."""

    def __init__(
        self,
        api: KubeApi,
        read: Callable[[wire.Get], bytes],
        refused: Callable[[str], None],
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`read` lists, in a thread; `refused` is called where the cluster does not accept the credentials.

        `clock` goes on while the machine sleeps.
        """
        self._most = bounds.most
        self._watch = partial(_Watch, api, read, refused, bounds, clock)
        self._watches: dict[wire.Get, _Watch] = {}

    def begin(self, asked: wire.Get) -> None:
        """Begins to watch what a request lists, if it lists pods."""
        key = asked._replace(watched=True)
        if not asked.path.endswith("/pods") or [name for name, _ in asked.query] != ["labelSelector"]:
            return
        if key not in self._watches:
            while len(self._watches) >= self._most:
                self._watches.pop(next(iter(self._watches))).end()
            self._watches[key] = self._watch(key)

    def body(self, asked: wire.Get) -> bytes | None:
        """Returns the list of pods; None where no watch has it that counts. Begins one for the next time."""
        if not asked.watched:
            return None
        self.begin(asked)
        if (watch := self._watches.pop(asked, None)) is None:
            return None
        self._watches[asked] = watch
        return watch.body()

    def close(self) -> None:
        """Ends all."""
        while self._watches:
            self._watches.popitem()[1].end()


class _Watch:
    """A list, and the watch that follows it, again and again."""

    def __init__(
        self,
        api: KubeApi,
        read: Callable[[wire.Get], bytes],
        refused: Callable[[str], None],
        bounds: Bounds,
        clock: Callable[[], float],
        asked: wire.Get,
    ) -> None:
        self._api, self._read, self._refused, self._bounds, self._clock = api, read, refused, bounds, clock
        self._asked = asked
        self._held = Held({})
        self._stream: EventStream | None = None
        self._heard = self._apart = 0.0
        self._task = asyncio.ensure_future(self._run())

    def body(self) -> bytes | None:
        """The list; None if it may be older than one that the cluster would give."""
        if self._stream is None or not self._stream.answers or time.monotonic() - self._heard > self._bounds.heard:
            return None
        if abs(self._clocks() - self._apart) > self._bounds.slept:
            self._stream.close()
            return None
        return self._held.body()

    def end(self) -> None:
        """Ends it."""
        self._task.cancel()

    async def _run(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except (ApiError, HttpStatus) as error:
                _LOG.debug("the watch of %s ended: %s", self._asked.path, error)
                if error.status == 401:
                    self._refused(str(error))
                if error.status < 500 and error.status not in _PASSING:
                    # The right to watch may be missing: then each command lists.
                    return
            except (UnreachableError, OSError, http.client.HTTPException, ValueError) as error:
                _LOG.debug("the watch of %s ended: %s", self._asked.path, error)
            except TooLarge:
                return
            failures = 0 if time.monotonic() - began > _SOON else failures + 1
            if failures:
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def _once(self) -> None:
        """Lists and watches. Raises what ends it: UnreachableError, ApiError, HttpStatus, OSError, TooLarge."""
        held = await asyncio.to_thread(self._listed)
        query = {
            **dict(self._asked.query),
            "resourceVersion": held.version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(self._bounds.longest))),
        }
        interval = self._bounds.ping_interval
        stream = await EventStream.open(self._api, self._asked.path, query, _WHAT, ping_interval=interval)
        try:
            self._held, self._stream, self._heard, self._apart = held, stream, time.monotonic(), self._clocks()
            async with asyncio.timeout(self._bounds.longest):
                while True:
                    held.take(await stream.next())
                    self._heard = time.monotonic()
        finally:
            self._stream = None
            stream.close()

    def _listed(self) -> Held:
        value = read_json(self._read(self._asked))
        if not isinstance(value, dict):
            raise ValueError("the answer is not a JSON object")
        return Held(value, self._bounds.size)

    def _clocks(self) -> float:
        return self._clock() - time.monotonic()
