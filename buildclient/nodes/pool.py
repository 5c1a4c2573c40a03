"""A pool of connections to daemons, shared by several builds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from buildclient.base.errors import UnreachableError
from buildclient.daemon.interfaces import Control
from buildclient.daemon.worker import Worker
from buildclient.progress.events import EventSink
from buildclient.request.solve import SolveRequest
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork
    from buildclient.daemon.provenance import Provenance
    from buildclient.daemon.query import Query

__all__ = ["ConnectionPool"]

_T = TypeVar("_T")


class ConnectionPool:
    """Opens one connection for each daemon, shares it, and closes all of them in `close`.

    A lost connection is not given out again; those who have it keep it until `close`.
    """

    def __init__(self) -> None:
        self._opened: dict[str, asyncio.Future[Control]] = {}
        self._lost: list[asyncio.Future[Control]] = []

    async def get(self, key: str, connect: Callable[[], Awaitable[Control]]) -> Control:
        """Returns the connection for `key`; the first call opens it by `connect`. Raises what `connect` raises."""
        opened = self._opened.get(key)
        if opened is None:
            # In its own task: the first caller may be cancelled while others wait.
            opened = self._opened[key] = asyncio.ensure_future(connect())
        try:
            control = await asyncio.shield(opened)
        except UnreachableError:
            self._forget(key, opened)
            raise
        return _Lent(control, lambda: self._forget(key, opened))

    async def close(self) -> None:
        """Closes every connection, including those still being opened."""
        every = [*self._opened.values(), *self._lost]
        self._opened, self._lost = {}, []
        for one in every:
            one.cancel()
        done = await asyncio.gather(*every, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in done if not isinstance(one, BaseException)))

    def _forget(self, key: str, opened: asyncio.Future[Control]) -> None:
        if self._opened.get(key) is opened:
            del self._opened[key]
            self._lost.append(opened)


class _Lent:
    """A shared connection, which `close` leaves open; implements `buildclient.daemon.interfaces.Control`."""

    def __init__(self, control: Control, lost: Callable[[], None]) -> None:
        self._control = control
        self._lost = lost

    async def workers(self, deadline: float) -> Sequence[Worker]:
        return await self._heard(self._control.workers(deadline))

    async def solve(
        self, request: SolveRequest, services: Sequence[Service], sink: EventSink, work: GatewayWork | None = None
    ) -> Mapping[str, str]:
        return await self._heard(self._control.solve(request, services, sink, work))

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        return await self._heard(self._control.provenance(ref, deadline))

    async def ask(self, query: Query[_T], deadline: float) -> _T:
        return await self._heard(self._control.ask(query, deadline))

    async def close(self) -> None:
        return None

    async def _heard(self, answer: Awaitable[_T]) -> _T:
        try:
            return await answer
        except UnreachableError:
            self._lost()
            raise
