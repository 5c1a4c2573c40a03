"""A build's wait for a pod of a node whose pods are all at their limit.

Clients know nothing of one another: the cluster keeps their tickets (`buildclient.kube.lease`), in the order in which
they came. Only the first one looks for room; it leaves the queue once its build has begun. A client that may not keep
tickets looks for room now and then, and takes its chance.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from buildclient.base.errors import UnreachableError
from buildclient.daemon.interfaces import Control
from buildclient.kube.lease import Ticket
from buildclient.kube.pod import Pod, Queue
from buildclient.nodes.choice import by_load, window
from buildclient.nodes.loads import ask_loads, close_all
from buildclient.nodes.tickets import RENEWED_EVERY, Observer

__all__ = ["Line", "Queued"]

_LOG = logging.getLogger("buildclient.nodes")
Queued = Callable[[str, str], None]
"""Called with the node's name and where the build is in its queue, in words; with an empty text once it has left."""
_Pods = Callable[[], Awaitable[Sequence[Pod]]]
_Connect = Callable[[Pod], Awaitable[Control]]
_LOOK = 0.5
"""Seconds between two looks for room."""
_LEAVE = 2.0
"""Seconds to leave the queue in. A ticket that stays is dead after a while."""


class Line:
    """One build's place in the queue of a node."""

    def __init__(self, node: str, limit: int, queue: Queue, told: Queued | None) -> None:
        """`limit` is how many builds a pod runs at once."""
        self._node, self._limit, self._queue, self._told = node, limit, queue, told
        self._ticket: Ticket | None = None
        self._renewal = 0.0
        self._observer = Observer()
        self._refused = ""
        self._said = ""

    async def someone_waits(self) -> bool:
        """Returns whether the queue has anyone in it; False if that may not be read."""
        try:
            return bool(await self._live())
        except UnreachableError as error:
            _LOG.debug("%s: the queue is not known: %s", self._node, error)
            return False

    async def turn(self, pods: _Pods, connect: _Connect, *, sticky: bool, behind: bool) -> tuple[Pod, Control]:
        """Waits until it is this build's turn and a pod has room; returns the pod and the connection to its daemon.

        Unless it is `behind` others that wait, it looks for room once before it takes a ticket. `pods` lists those to
        ask, the best first. The place is kept until `leave`: a build that finds its pod full after all comes here
        again. Raises UnreachableError.
        """
        looks = 0
        try:
            while True:
                if (not behind and not looks and not self._ticket) or await self._is_first(pods):
                    found = await pods()
                    if reached := await self._room(window(found, looks), connect, sticky):
                        return reached
                    looks += 1
                    if looks == 1 and not self._ticket:
                        continue
                    # With its ticket it is served in its turn; without, clients must not look in step.
                    await asyncio.sleep(_LOOK if self._ticket else _LOOK * (1 + random.random()))
                else:
                    await self._queue.changed(RENEWED_EVERY)
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Gives up the place; within a moment, whatever becomes of it. Does nothing without one."""
        ticket, self._ticket = self._ticket, None
        self._tell("")
        if ticket is None:
            return
        giving = asyncio.ensure_future(self._queue.give_back(ticket))
        with contextlib.suppress(UnreachableError):
            await asyncio.wait({giving}, timeout=_LEAVE)
            if giving.done():
                giving.result()

    async def _is_first(self, pods: _Pods) -> bool:
        """Takes or renews the ticket, and returns whether this build may look for room."""
        if self._refused:
            return True
        try:
            if self._ticket is None or not await self._renewed(self._ticket):
                self._ticket = await self._queue.take(next((pod.owner for pod in await pods() if pod.owner), None))
                self._renewal = time.monotonic()
            live = await self._live()
        except UnreachableError as error:
            if error.exit_status == UnreachableError.exit_status:
                raise
            self._refused = str(error)
            self._tell(f"every pod is at its limit of {self._limit}; without a queue: {error}")
            return True
        names = [ticket.name for ticket in live]
        # A ticket that has just been taken may be missing in the list of an API server that is a little behind.
        place = names.index(self._ticket.name) if self._ticket.name in names else len(names)
        self._tell(f"every pod is at its limit of {self._limit}; place {place + 1} of {max(place + 1, len(names))}")
        return place == 0

    async def _renewed(self, ticket: Ticket) -> bool:
        if time.monotonic() < self._renewal + RENEWED_EVERY:
            return True
        self._renewal = time.monotonic()
        return await self._queue.renew(ticket)

    async def _live(self) -> list[Ticket]:
        tickets = await self._queue.tickets()
        live = self._observer.live(tickets, time.monotonic(), time.time())
        if self._ticket is not None:
            dead = [ticket for ticket in tickets if ticket not in live and ticket.name != self._ticket.name]
            if live and live[0].name == self._ticket.name:
                for ticket in dead:
                    _LOG.debug("%s: the client of ticket %s (%s) is gone", self._node, ticket.name, ticket.holder)
                    with contextlib.suppress(UnreachableError):
                        await self._queue.give_back(ticket, only_unchanged=True)
        return live

    async def _room(self, pods: Sequence[Pod], connect: _Connect, sticky: bool) -> tuple[Pod, Control] | None:
        """Returns the best of the pods that has room, with the connection to it."""
        loads = await ask_loads(pods, connect)
        fitting = by_load(pods, {name: one.builds for name, one in loads.items()}, self._limit)
        if sticky:
            fitting = [pod for pod in pods if pod in fitting]
        chosen = loads[fitting[0].name].control if fitting else None
        await close_all(loads, [chosen] if chosen else ())
        return (fitting[0], chosen) if chosen else None

    def _tell(self, said: str) -> None:
        if self._told and said != self._said:
            self._told(self._node, said)
        self._said = said
