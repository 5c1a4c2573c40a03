"""BuildKit's Control service over one connection: workers, and a solve with its session and its progress.

Reference: api/services/control/control.proto; session headers in session/session.go of BuildKit.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.daemon.bridge import Bridge
from buildclient.daemon.silence import SILENCE, silent, silent_text
from buildclient.daemon.solve_message import solve_message
from buildclient.daemon.status import events, failure, workers
from buildclient.daemon.worker import Worker
from buildclient.progress.events import Event, EventSink
from buildclient.proto import control_pb2 as pb
from buildclient.request.solve import SolveRequest
from buildclient.session.call import Service, methods_of
from buildclient.session.header import shared_key_headers
from buildclient.session.health import health
from buildclient.session.server import SessionServer
from buildclient.session.wire import WireError, bytes_message, read_bytes_message

if TYPE_CHECKING:
    from buildclient.daemon.provenance import Provenance

__all__ = ["GrpcControl"]

_T = TypeVar("_T")
_SERVICE = "/moby.buildkit.v1.Control/"
_STATUS_IDLE, _STATUS_LONGEST = 5.0, 60.0
"""Seconds without progress after the solve has ended, and in all, until the rest of it is given up."""
_LAST_WORDS = 5.0
"""Seconds that a solve has to end by itself after its session broke."""
_OPTIONS = [
    # An error's details may be larger than gRPC's default limits, and would be lost with the build error in them.
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    # A proxy variable of the environment has no business with a private socket.
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
]


class GrpcControl:
    """One daemon; fulfils `buildclient.daemon.interfaces.Control`. Made by `open`, ended by `close`."""

    def __init__(self, endpoint: Endpoint, bridge: Bridge, channel: grpc.aio.Channel, silence: float = SILENCE) -> None:
        """`silence` is how many seconds nothing may come from a daemon that a call waits for."""
        self._endpoint = endpoint
        self._bridge = bridge
        self._channel = channel
        self._silence = silence

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        deadline: float,
        *,
        connection: Connection | None = None,
        silence: float = SILENCE,
    ) -> GrpcControl:
        """Connects now, so that what is wrong with the way is said here. Raises UnreachableError.

        `connection` is one that was opened ahead of time; else the endpoint is asked for one.
        """
        bridge = Bridge(endpoint, connection or await endpoint.connect(deadline))
        target = await bridge.open()
        return cls(endpoint, bridge, grpc.aio.insecure_channel(target, options=_OPTIONS), silence)

    async def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._channel.close(None), 2)
        await self._bridge.close()

    async def workers(self, deadline: float) -> Sequence[Worker]:
        """The daemon's workers, with its version. Raises UnreachableError."""
        call = self._unary("ListWorkers", pb.ListWorkersRequest, pb.ListWorkersResponse)
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        try:
            return workers(await self._answer(_finish(call(pb.ListWorkersRequest(), timeout=timeout))))
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from None

    async def solve(self, request: SolveRequest, services: Sequence[Service], sink: EventSink) -> dict[str, str]:
        """Runs one solve with a session that serves `services` and Health; progress goes to `sink`.

        Returns the exporter's response. Raises BuildFailed or a subclass, or UnreachableError; ValueError where two
        services claim one method.
        """
        session = secrets.token_hex(13)
        loop = asyncio.get_running_loop()
        last = loop.time()

        def told(event: Event) -> None:
            nonlocal last
            last = loop.time()
            sink(event)

        async with self._session(session, request.shared_key, services) as broken:
            progress = asyncio.ensure_future(self._status(request.ref, told))
            call = self._unary("Solve", pb.SolveRequest, pb.SolveResponse)
            solving = asyncio.ensure_future(_finish(call(solve_message(request, session))))
            try:
                await self._unless_silent(solving, broken)
                if not solving.done():
                    # The daemon's own words, if it has any for the end of its session, say more.
                    await asyncio.wait([solving], timeout=_LAST_WORDS)
                if not solving.done():
                    raise UnreachableError(f"lost the session with {self._endpoint.description}: {broken.result()}")
                response = solving.result()
            except grpc.aio.AioRpcError as error:
                await _drain(progress, lambda: last)
                raise self._failure(error) from None
            except BaseException:
                for task in (progress, solving):
                    task.cancel()
                await asyncio.gather(progress, solving, return_exceptions=True)
                raise
            await _drain(progress, lambda: last)
        return dict(response.exporter_response)

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        """What the daemon recorded of a build that has ended; empty where it keeps no records.

        Raises BuildFailed and its kin, or UnreachableError.
        """
        from buildclient.daemon.history import read_provenance

        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        try:
            return await self._answer(read_provenance(self._channel, ref, timeout))
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return {}
            raise self._failure(error) from None

    async def _answer(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work`, a call, gives. Raises UnreachableError once the daemon has been silent for too long."""
        task = asyncio.ensure_future(work)
        try:
            await self._unless_silent(task)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _unless_silent(self, *waited: asyncio.Future[Any]) -> None:
        """Returns once one of them is done. Raises UnreachableError once the daemon has been silent for too long."""
        watch = asyncio.ensure_future(silent(lambda: self._bridge.heard, self._silence))
        try:
            await asyncio.wait([*waited, watch], return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
        if not any(one.done() for one in waited):
            said = silent_text(self._silence, self._bridge.answers)
            raise UnreachableError(f"{self._endpoint.description}: {said}")

    def _failure(self, error: grpc.aio.AioRpcError) -> ClientError:
        if error.code() == grpc.StatusCode.UNAVAILABLE and self._bridge.error:
            return self._bridge.error
        return failure(error, self._endpoint.description)

    async def _status(self, ref: str, sink: EventSink) -> None:
        call = self._channel.unary_stream(
            f"{_SERVICE}Status",
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.StatusResponse.FromString,
        )(pb.StatusRequest(ref=ref))
        # The solve itself tells what went wrong; its progress may just end.
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for response in call:
                for event in events(response):
                    sink(event)

    @contextlib.asynccontextmanager
    async def _session(
        self, session: str, shared_key: str, services: Sequence[Service]
    ) -> AsyncIterator[asyncio.Future[str]]:
        """A session that is served; what is given is done, with the reason, if it breaks."""
        methods = methods_of([health(), *services])
        metadata = [
            ("x-docker-expose-session-uuid", session),
            *shared_key_headers(shared_key),
            *(("x-docker-expose-session-grpc-method", method) for method in methods),
        ]
        stream = self._channel.stream_stream(f"{_SERVICE}Session")(metadata=metadata)

        async def send(data: bytes) -> None:
            await stream.write(bytes_message(data))

        server = SessionServer(methods, send)

        async def receive() -> None:
            while (message := await stream.read()) is not grpc.aio.EOF:
                server.receive(bytes(read_bytes_message(message)))
            # It is ours to end; the daemon keeps it as long as we do.
            raise WireError("the daemon ended it")

        server.wake()
        tasks = [asyncio.ensure_future(work) for work in (receive(), server.run())]
        broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def ended(task: asyncio.Future[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not broken.done():
                text = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                broken.set_result(str(text) or type(error).__name__)

        for task in tasks:
            task.add_done_callback(ended)
        try:
            yield broken
        finally:
            await server.close()
            for task in tasks:
                task.cancel()
            stream.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _unary(self, method: str, request: Any, response: Any) -> Callable[..., Any]:
        return self._channel.unary_unary(  # type: ignore[no-any-return]
            _SERVICE + method, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )


async def _finish(call: Any) -> Any:
    """The answer of a call; cancelled, the call is ended too."""
    try:
        return await call
    finally:
        call.cancel()


async def _drain(progress: asyncio.Future[None], last: Callable[[], float]) -> None:
    """Lets the last progress arrive, within bounds; `last` tells when some came."""
    loop = asyncio.get_running_loop()
    ended = loop.time()
    while not progress.done():
        left = min(max(last(), ended) + _STATUS_IDLE, ended + _STATUS_LONGEST) - loop.time()
        if left <= 0:
            progress.cancel()
            break
        await asyncio.wait([progress], timeout=left)
    with contextlib.suppress(asyncio.CancelledError):
        await progress
