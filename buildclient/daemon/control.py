"""BuildKit's Control service over one connection: workers, solves with session and progress, provenance.

Reference: api/services/control/control.proto; session headers in session/session.go of BuildKit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from buildclient.base.errors import ClientError, DaemonLost, UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.daemon.channel import Channel
from buildclient.daemon.query import Query, server_stream, unary
from buildclient.daemon.rpcerror import RpcError
from buildclient.daemon.silence import IDLE_TIMEOUT, silent, silent_text
from buildclient.daemon.solve_message import solve_message
from buildclient.daemon.status import events, failure, workers
from buildclient.daemon.worker import Worker
from buildclient.progress.events import Compressed, Event, EventSink
from buildclient.proto import control_pb2 as pb
from buildclient.request.solve import SolveRequest
from buildclient.session.call import Service, methods_of
from buildclient.session.header import shared_key_headers
from buildclient.session.health import health
from buildclient.session.server import SessionServer
from buildclient.session.wire import WireError, bytes_head, read_bytes_message

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork
    from buildclient.daemon.provenance import Provenance

__all__ = ["GrpcControl", "Timeouts"]

_T = TypeVar("_T")
_LOG = logging.getLogger("buildclient.daemon")
_SERVICE = "/moby.buildkit.v1.Control/"


class Timeouts(NamedTuple):
    """Time limits of calls to a daemon, in seconds."""

    idle: float = IDLE_TIMEOUT
    """Without a byte from the daemon."""
    solve_end_grace: float = 5.0
    """For the solve to end by itself after its session broke."""
    status_idle: float = 5.0
    """After the solve, without new progress, before the rest is dropped."""
    status_longest: float = 60.0
    """After the solve, before the rest of the progress is dropped in any case."""


_TIMEOUTS = Timeouts()


class GrpcControl:
    """One daemon; implements `buildclient.daemon.interfaces.Control`. `open` makes it, `close` ends it."""

    def __init__(self, endpoint: Endpoint, channel: Channel, timeouts: Timeouts = _TIMEOUTS) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._timeouts = timeouts

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        deadline: float,
        *,
        connection: Connection | None = None,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> GrpcControl:
        """Connects at once, so that connection errors are raised here. Raises UnreachableError.

        `connection` is one opened earlier; without it the endpoint opens one.
        """
        connection = connection or await endpoint.connect(deadline)
        return cls(endpoint, Channel(connection, endpoint.authority), timeouts)

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close()

    async def workers(self, deadline: float) -> Sequence[Worker]:
        """Returns the daemon's workers and version. Raises UnreachableError."""
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        try:
            return workers(await self._answer(self._list_workers(timeout)))
        except RpcError as error:
            raise self._failure(error) from None

    async def solve(
        self, request: SolveRequest, services: Sequence[Service], sink: EventSink, work: GatewayWork | None = None
    ) -> dict[str, str]:
        """Runs one solve with a session that serves `services` and Health; progress goes to `sink`.

        `work`, if given, runs in the solve's gateway instead of the request's frontend. Returns the exporter's
        response, with the metadata of the work's result. Raises BuildFailed or a subclass, UnreachableError, and
        ValueError if two services have the same method.
        """
        _LOG.debug("%s", _summary(request, self._endpoint.description))
        session = secrets.token_hex(13)
        loop = asyncio.get_running_loop()
        began = last = loop.time()

        def told(event: Event) -> None:
            nonlocal last
            last = loop.time()
            sink(event)

        async with self._session(session, request.shared_key, services, told) as broken:
            progress = asyncio.ensure_future(self._status(request.ref, told))
            solving = asyncio.ensure_future(self._solved(request, session, work))
            try:
                await self._unless_silent(solving, broken)
                if not solving.done():
                    # If the daemon reports why its session ended, its error says more.
                    _LOG.debug("solve %s: the session broke: %s", request.ref, broken.result())
                    await asyncio.wait([solving], timeout=self._timeouts.solve_end_grace)
                if not solving.done():
                    raise DaemonLost(f"lost the session with {self._endpoint.description}: {broken.result()}")
                response = solving.result()
            except RpcError as error:
                _LOG.debug("solve %s: %s after %.1f s", request.ref, error.code, loop.time() - began)
                await _drain(progress, lambda: last, self._timeouts)
                raise self._ended(error, broken) from None
            except BaseException as error:
                said = str(error) or type(error).__name__
                _LOG.debug("solve %s: given up after %.1f s: %s", request.ref, loop.time() - began, said)
                for task in (progress, solving):
                    task.cancel()
                await asyncio.gather(progress, solving, return_exceptions=True)
                raise
            _LOG.debug("solve %s: OK after %.1f s", request.ref, loop.time() - began)
            await _drain(progress, lambda: last, self._timeouts)
        return response

    async def _solved(self, request: SolveRequest, session: str, work: GatewayWork | None) -> dict[str, str]:
        message = solve_message(request, session, in_gateway=work is not None)
        solving = unary(self._channel, f"{_SERVICE}Solve", pb.SolveResponse)(message)
        if work is None:
            return dict((await solving).exporter_response)
        from buildclient.daemon.gateway import solve_in_gateway

        return await solve_in_gateway(self._channel, request.ref, solving, work)

    async def ask(self, query: Query[_T], deadline: float) -> _T:
        """Returns the answer to a query. Raises BuildFailed or a subclass, or UnreachableError."""
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        beat = asyncio.ensure_future(self._beat())
        try:
            return await self._answer(query(self._channel, timeout))
        except RpcError as error:
            raise self._failure(error) from None
        finally:
            beat.cancel()

    async def _beat(self) -> None:
        """Asks for a word now and then, so that a daemon that works on a long answer does not count as silent."""
        while True:
            await asyncio.sleep(self._timeouts.idle / 3)
            with contextlib.suppress(RpcError):
                await self._list_workers(self._timeouts.idle)

    async def _list_workers(self, timeout: float) -> pb.ListWorkersResponse:
        call = unary(self._channel, f"{_SERVICE}ListWorkers", pb.ListWorkersResponse)
        found: pb.ListWorkersResponse = await call(pb.ListWorkersRequest(), timeout=timeout)
        return found

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        """Returns the provenance recorded for a finished build, by platform; empty if the daemon keeps no records.

        Raises BuildFailed or a subclass, or UnreachableError.
        """
        from buildclient.daemon.history import read_provenance

        return await self.ask(read_provenance(ref), deadline)

    async def _answer(self, work: Awaitable[_T]) -> _T:
        """Returns the result of the call `work`. Raises UnreachableError if the daemon is silent for too long."""
        task = asyncio.ensure_future(work)
        try:
            await self._unless_silent(task)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _unless_silent(self, *waited: asyncio.Future[Any]) -> None:
        """Waits until one of them is done. Raises UnreachableError once the daemon has been silent for too long."""
        watch = asyncio.ensure_future(silent(lambda: self._channel.heard, self._timeouts.idle))
        try:
            await asyncio.wait([*waited, watch], return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
        if not any(one.done() for one in waited):
            said = silent_text(self._timeouts.idle, self._channel.answers)
            raise self._lost(UnreachableError(f"{self._endpoint.description}: {said}"), silent=True)

    def _ended(self, error: RpcError, broken: asyncio.Future[str]) -> ClientError:
        """Returns a failed solve's error. One whose session ended before it failed for that, whatever it says."""
        found = self._failure(error)
        if broken.done() and not isinstance(found, UnreachableError):
            return DaemonLost(f"lost the session with {self._endpoint.description}: {broken.result()}: {found}")
        return found

    def _failure(self, error: RpcError) -> ClientError:
        if error.code == "Unavailable" and self._channel.error:
            return self._lost(self._channel.error)
        found = failure(error, self._endpoint.description)
        silent = error.code == "DeadlineExceeded"
        return self._lost(found, silent=silent) if isinstance(found, UnreachableError) else found

    def _lost(self, error: UnreachableError, *, silent: bool = False) -> UnreachableError:
        """Returns the error of a connection; what never answered, such as a wrong port, is no daemon that was lost."""
        # A permission that was taken away has another status.
        if not self._channel.heard or error.exit_status != UnreachableError.exit_status:
            return error
        return DaemonLost(error.message, silent=silent, hint=error.hint)

    async def _status(self, ref: str, sink: EventSink) -> None:
        call = server_stream(self._channel, f"{_SERVICE}Status", pb.StatusResponse)
        # Solve reports errors; Status may just end.
        with contextlib.suppress(RpcError):
            async for response in call(pb.StatusRequest(ref=ref)):
                for event in events(response):
                    sink(event)

    @contextlib.asynccontextmanager
    async def _session(
        self, session: str, shared_key: str, services: Sequence[Service], sink: EventSink
    ) -> AsyncIterator[asyncio.Future[str]]:
        """Serves a session; yields a future that gets the reason if the session breaks. Raises UnreachableError."""
        methods = methods_of([health(), *services])
        metadata = [
            ("x-docker-expose-session-uuid", session),
            *shared_key_headers(shared_key),
            *(("x-docker-expose-session-grpc-method", method) for method in methods),
        ]
        try:
            stream = self._channel.open(f"{_SERVICE}Session", metadata=metadata)
        except RpcError as error:
            raise self._failure(error) from None

        async def send(data: bytes) -> None:
            await stream.write(bytes_head(len(data)), data)

        server = SessionServer(methods, send)

        async def receive() -> None:
            while (message := await stream.read()) is not None:
                server.receive(bytes(read_bytes_message(message)))
            # Only the client ends a session.
            raise WireError("the daemon ended it")

        server.wake()
        tasks = [asyncio.ensure_future(work) for work in (receive(), server.run())]
        broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def ended(task: asyncio.Future[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not broken.done():
                text = error.text if isinstance(error, RpcError) else str(error)
                broken.set_result(str(text) or type(error).__name__)

        for task in tasks:
            task.add_done_callback(ended)
        try:
            yield broken
        finally:
            await server.close()
            if server.compressed:
                sink(Compressed(server.compressed, server.compressed_to))
            for task in tasks:
                task.cancel()
            stream.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _summary(request: SolveRequest, where: str) -> str:
    """Describes a solve in one line, with only those frontend attributes that hold no secret."""
    attrs = request.frontend_attrs
    named = [f"{name} {attrs[name]}" for name in ("platform", "target") if attrs.get(name)]
    exporters = ", ".join(exporter.type for exporter in request.exporters) or "none"
    return "; ".join([f"solve {request.ref} on {where}: {request.frontend}", *named, f"exporters {exporters}"])


async def _drain(progress: asyncio.Future[None], last: Callable[[], float], timeouts: Timeouts) -> None:
    """Waits for the rest of the progress, within limits; `last` returns the time of the latest event."""
    loop = asyncio.get_running_loop()
    ended = loop.time()
    while not progress.done():
        left = min(max(last(), ended) + timeouts.status_idle, ended + timeouts.status_longest) - loop.time()
        if left <= 0:
            progress.cancel()
            break
        await asyncio.wait([progress], timeout=left)
    with contextlib.suppress(asyncio.CancelledError):
        await progress
