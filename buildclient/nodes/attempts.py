"""A node whose daemon may be lost: connects again, and says so in the progress (`buildclient.nodes.retries` decides).

What only asks the daemon is asked again unnoticed. A solve is its caller's to repeat: `take_up` makes the next
connection, or raises the error.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.base.streams import Connection
from buildclient.contract.output import NodeOutput
from buildclient.daemon.interfaces import Control
from buildclient.daemon.worker import Worker
from buildclient.nodes.interfaces import Node
from buildclient.nodes.retries import RETRIES, Retries, decide, fault_of
from buildclient.progress.events import EventSink
from buildclient.progress.row import CANCELLED
from buildclient.progress.steps import ClientStep
from buildclient.request.solve import SolveRequest
from buildclient.request.values import Retry
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork
    from buildclient.daemon.provenance import Provenance
    from buildclient.daemon.query import Query

__all__ = ["RetryingNode"]

_T = TypeVar("_T")
_LOG = logging.getLogger("buildclient.nodes")
_ASIDE = 1.0
"""Seconds at the end of a build to tidy up on the pods that it has left."""


class RetryingNode:
    """One node of a build; implements Node, and Control once it is open."""

    def __init__(
        self,
        node: Node,
        sink: EventSink,
        rules: Retries = RETRIES,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.retries: list[Retry] = []
        """The daemons that were lost so far."""
        self._inner = node
        self._sink = sink
        self._rules = rules
        self._chance = chance
        self._control: Control | None = None
        self._key = ""
        self._seconds = 0.0
        self._silent: list[str] = []
        self._aside: list[asyncio.Task[None]] = []

    @property
    def node(self) -> NodeOutput:
        """The node in the builder output."""
        return self._inner.node

    @property
    def pod(self) -> str:
        """The name of the pod that was last connected to."""
        return self._inner.pod

    @property
    def version(self) -> str | None:
        """As the node's own."""
        return self._inner.version

    def note_version(self, version: str) -> None:
        """As the node's own."""
        self._inner.note_version(version)

    async def dial(self, key: str, deadline: float) -> Connection:
        """As the node's own."""
        return await self._inner.dial(key, deadline)

    async def open(self, key: str, deadline: float, avoid: Sequence[str] = (), *, full: bool = False) -> RetryingNode:
        """Connects; pods that are lost meanwhile count as a try, an address where nothing is does not.

        Raises UnreachableError.
        """
        self._key, self._seconds = key, deadline - asyncio.get_running_loop().time()
        try:
            self._control = await self._inner.open(key, deadline, avoid, full=full)
        except UnreachableError as error:
            if self.node.address:
                raise
            await self.take_up(error)
        return self

    async def pass_on(self, ref: str) -> None:
        """Leaves a pod that is full for one that has room, in this build's turn. Raises UnreachableError.

        `ref` is the build that has begun there and was taken back; its record is removed as far as the daemon lets.
        """
        from buildclient.nodes.loads import forget

        control, self._control = self._control, None
        if control is not None:
            self._aside.append(asyncio.ensure_future(forget(control, ref)))
        await self.open(self._key, asyncio.get_running_loop().time() + self._seconds, tuple(self._silent), full=True)

    async def stays(self, ref: str) -> bool:
        """Returns whether build `ref` may stay on the pod where it has begun."""
        return await self._inner.admit(self._connected(), ref)

    async def admit(self, control: Control, ref: str) -> bool:
        """As the node's own."""
        return await self._inner.admit(control, ref)

    async def leave(self) -> None:
        """As the node's own."""
        await self._inner.leave()

    async def take_up(self, error: ClientError, final: str = "") -> None:
        """Connects anew after `error`, or raises it with the reason why not.

        `final` is why the result cannot be written again; empty if it can.
        """
        while True:
            fault = fault_of(error, final)
            decision = decide(fault, len(self.retries), self._rules, self._chance())
            if not decision.again:
                raise _with(error, decision.why) from None
            lost = self._inner.pod
            if decision.avoid and lost:
                self._silent.append(lost)
            step = ClientStep(
                self._sink, f"[internal] {self.node.name}: try {len(self.retries) + 2} of {self._rules.limit + 1}"
            )
            step.say(error.message)
            _LOG.debug("%s: %s; again in %.1f s", self.node.name, error, decision.pause)
            self.retries.append(Retry(error.message, lost, ""))
            try:
                await self.close()
                await asyncio.sleep(decision.pause)
                self._control = await self._reached()
            except UnreachableError as problem:
                step.end(problem.message)
                error = problem
                continue
            except BaseException:
                step.end(CANCELLED)
                raise
            pod = self._inner.pod
            self.retries[-1] = self.retries[-1]._replace(pod=pod)
            if pod:
                step.say(f"going on in {'the same pod' if pod == lost else 'pod'} {pod}")
            step.end()
            return

    def ended(self, steps: int, cached: int) -> None:
        """Notes, and shows, how much of the last try was in the cache."""
        if self.retries:
            self.retries[-1] = self.retries[-1]._replace(steps=steps, cached=cached)
            where = f"pod {self.pod}" if self.pod else "the daemon"
            ClientStep(
                self._sink, f"[internal] {self.node.name}: {where} had {cached} of {steps} steps in its cache"
            ).end()

    async def again(self, work: Callable[[Control], Awaitable[_T]]) -> _T:
        """Returns what `work` returns, which is done once more for each daemon that is lost. Raises as `work` does."""
        while True:
            try:
                return await work(self._connected())
            except UnreachableError as error:
                await self.take_up(error)

    async def workers(self, deadline: float) -> Sequence[Worker]:
        """As Control's."""
        left = deadline - asyncio.get_running_loop().time()
        return await self.again(lambda control: control.workers(_from_now(left)))

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        """As Control's; the record is the daemon's own, so another daemon has none."""
        return await self._connected().provenance(ref, deadline)

    async def ask(self, query: Query[_T], deadline: float) -> _T:
        """As Control's."""
        left = deadline - asyncio.get_running_loop().time()
        return await self.again(lambda control: control.ask(query, _from_now(left)))

    async def solve(
        self, request: SolveRequest, services: Sequence[Service], sink: EventSink, work: GatewayWork | None = None
    ) -> Mapping[str, str]:
        """As Control's: once."""
        return await self._connected().solve(request, services, sink, work)

    async def close(self) -> None:
        """Ends the connection; may be called twice."""
        control, self._control = self._control, None
        if control is not None:
            await control.close()
        await self.leave()
        aside, self._aside = self._aside, []
        if aside:
            await asyncio.wait(aside, timeout=_ASIDE)
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)

    def _connected(self) -> Control:
        assert self._control is not None
        return self._control

    async def _reached(self) -> Control:
        """Connects. What is in the way for a moment, such as an API server that is restarted, is waited for."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for pause in _pauses():
            try:
                return await self._inner.open(self._key, begun + self._seconds, tuple(self._silent))
            except UnreachableError as error:
                mends = error.exit_status == UnreachableError.exit_status
                if not mends or loop.time() + pause > begun + self._rules.reach:
                    raise
                _LOG.debug("%s: not reached: %s; again in %.1f s", self.node.name, error, pause)
            await asyncio.sleep(pause)
        raise AssertionError("the pauses do not end")


def _pauses() -> Iterator[float]:
    yield from (0.5, 1.0, 2.0)
    while True:
        yield 4.0


def _from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def _with(error: ClientError, why: str) -> ClientError:
    if why:
        error.message = f"{error.message}; {why}"
        error.args = (error.message,)
    return error
