"""Keeps what is known of all builders up to date, while somebody looks at the page.

Every builder has a schedule of its own, and every cluster takes so many questions at once: one that does not answer
holds up neither the others of its cluster for longer than a time limit, nor another cluster. What was last known of it
stays, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from buildclient.base.errors import ClientError
from buildclient.base.threads import in_thread
from buildkit_builders.page.look import LookError
from buildkit_builders.page.model import BuilderView, DriftView, Found, Seen, Snapshot
from buildkit_builders.page.sources import Listed, Source, merged

__all__ = ["Drifts", "Look", "Pace", "Watcher"]

_LOG = logging.getLogger(__name__)
Look = Callable[[Found, float], Awaitable[Seen]]
"""Asks a builder, with a time limit in seconds. Raises LookError."""
Drifts = Callable[[Found], DriftView]
"""Finds what differs of a builder's stack. Blocks; raises nothing."""


class Pace(NamedTuple):
    """How often is asked, and how long is waited; in seconds."""

    period: float = 30.0
    """Between two questions to a builder."""
    drift: float = 3600.0
    """Between two looks for drift of a stack; 0 for never."""
    timeout: float = 20.0
    """For a builder, or the list of a source."""
    at_once: int = 8
    """Questions to one cluster."""
    idle: float = 300.0
    """Nobody has looked for so long: nothing is asked any more until somebody does."""
    tick: float = 0.5
    """Between two looks at what is due."""


class Watcher:
    """Asks the sources and their builders, and has the newest answers."""

    def __init__(self, sources: Sequence[Source], look: Look, pace: Pace, drifts: Drifts | None = None) -> None:
        self._sources, self._look, self._pace, self._drifts = sources, look, pace, drifts
        self._listed: dict[int, Listed] = {}
        self._failed: dict[int, str] = {}
        """Why a source could not be read, by its number."""
        self._builders: dict[str, BuilderView] = {}
        self._asked: dict[object, float] = {}
        """When something was last asked, by whatever stands for it."""
        self._running: dict[object, asyncio.Task[None]] = {}
        self._limits: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(pace.at_once))
        self._drift_limit = asyncio.Semaphore(1)
        self._looked = time.monotonic()
        self._wanted = asyncio.Event()
        self._wanted.set()

    def snapshot(self) -> Snapshot:
        """What is known now. Somebody is looking."""
        self._looked = time.monotonic()
        self._wanted.set()
        problems = [f"{self._sources[n].name}: {text}" for n, text in sorted(self._failed.items())]
        for number, listed in sorted(self._listed.items()):
            problems += [f"{self._sources[number].name}: {text}" for text in listed.problems]
        ready = len(self._listed | self._failed) == len(self._sources)
        return Snapshot(tuple(self._builders.values()), tuple(problems), ready)

    async def run(self) -> None:
        """Asks until it is cancelled."""
        try:
            while True:
                if time.monotonic() - self._looked > self._pace.idle:
                    self._wanted.clear()
                    _LOG.debug("nobody looks: nothing is asked")
                    await self._wanted.wait()
                self._start_due()
                await asyncio.sleep(self._pace.tick)
        finally:
            await self._stop()

    async def once(self) -> Snapshot:
        """Asks everything once and returns what came of it."""
        try:
            for start in (self._start_sources, self._start_builders, self._start_drifts):
                start()
                while self._running:
                    await asyncio.wait(self._running.values())
        finally:
            await self._stop()
        return self.snapshot()

    async def _stop(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self) -> None:
        self._start_sources()
        self._start_builders()
        self._start_drifts()

    def _start_sources(self) -> None:
        for number in range(len(self._sources)):
            self._start(("source", number), self._pace.period, partial(self._find, number))

    def _start_builders(self) -> None:
        for builder_id in self._builders:
            self._start(("builder", builder_id), self._pace.period, partial(self._ask, builder_id))

    def _start_drifts(self) -> None:
        if self._drifts is None or not self._pace.drift:
            return
        for view in self._builders.values():
            if view.found.stack:
                key = "drift", view.found.project, view.found.stack
                self._start(key, self._pace.drift, partial(self._find_drift, self._drifts, view.found.id))

    def _start(self, key: object, period: float, work: Callable[[], Awaitable[None]]) -> None:
        now = time.monotonic()
        if key in self._running or now - self._asked.get(key, -period) < period:
            return

        async def run() -> None:
            try:
                await work()
            finally:
                self._asked[key] = time.monotonic()
                del self._running[key]

        self._running[key] = asyncio.ensure_future(run())

    async def _find(self, number: int) -> None:
        try:
            async with asyncio.timeout(self._pace.timeout):
                self._listed[number] = await self._sources[number].find()
            self._failed.pop(number, None)
        except TimeoutError:
            self._failed[number] = f"no answer within {self._pace.timeout:g} s"
        except ClientError as error:
            self._failed[number] = str(error)
        known = {view.found.id: view for view in self._builders.values()}
        found = merged([self._listed[number] for number in sorted(self._listed)])
        self._builders = {one.id: known.get(one.id, BuilderView(one))._replace(found=one) for one in found}
        gone = {("builder", builder_id) for builder_id in known.keys() - self._builders.keys()}
        for key in gone:
            self._asked.pop(key, None)

    async def _ask(self, builder_id: str) -> None:
        view = self._builders.get(builder_id)
        if view is None:
            return
        # Its stack's output may lead to any cluster: that one's own builders have a limit of their own.
        where = view.found.kube_context or view.found.output.cluster.server
        async with self._limits[where]:
            try:
                seen = await self._look(view.found, self._pace.timeout)
                self._put(builder_id, seen=seen, error="")
            except LookError as error:
                self._put(builder_id, error=str(error))
            except Exception as error:
                # A fault of one builder's answer must not end the page of all others.
                _LOG.exception("builder %s", builder_id)
                self._put(builder_id, error=f"{type(error).__name__}: {error}")

    async def _find_drift(self, drifts: Drifts, builder_id: str) -> None:
        view = self._builders.get(builder_id)
        if view is None:
            return
        async with self._drift_limit:
            self._put(builder_id, drift=await in_thread(partial(drifts, view.found)))

    def _put(self, builder_id: str, **changed: Any) -> None:
        # It may have gone meanwhile.
        with contextlib.suppress(KeyError):
            self._builders[builder_id] = self._builders[builder_id]._replace(**changed)
