"""BuildKit's gateway: frontends run inside a solve that the client holds open, and one result becomes the solve's own.

A solve without frontend and definition waits until `LLBBridge.Return` names its result. Meanwhile the client may solve
as often as it likes, and give one solve's references to the next. Reference: client/build.go, control/gateway and
frontend/gateway/grpcclient of BuildKit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple

import grpc

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.proto import control_pb2, gateway_pb2

__all__ = ["Gateway", "GatewayResult", "GatewayWork", "solve_in_gateway"]

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD_ID = "buildkit-controlapi-buildid"
_DETAILS = "grpc-status-details-bin"
_PING_LONGEST = 15.0
"""Seconds until the daemon must know the solve, as in New of grpcclient."""
_PING_PAUSE = 0.05
"""Seconds between two pings: a daemon that does not know the solve yet forgets it after 3 s (util/registrar)."""
_END_GRACE = 5.0
"""Seconds for the solve to end after its work has failed, as in client/solve.go."""
MAX_METADATA = 16 << 20
"""Bytes of a result's metadata: the limit of BuildKit's own messages (defaults.DefaultMaxRecvMsgSize)."""


class GatewayResult(NamedTuple):
    """What a frontend gave."""

    metadata: Mapping[str, bytes]
    message: gateway_pb2.Result
    """With the references to the result's trees, as the daemon sent it."""


class Gateway:
    """One solve's gateway."""

    def __init__(self, channel: grpc.aio.Channel, ref: str) -> None:
        self._channel = channel
        self._metadata = ((_BUILD_ID, ref),)

    async def ping(self) -> None:
        """Waits until the daemon knows the solve. Raises AioRpcError, and BuildFailed for a daemon without gateway."""
        deadline = asyncio.get_running_loop().time() + _PING_LONGEST
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                await self._call("Ping", gateway_pb2.PingRequest(), gateway_pb2.PongResponse, max(0.1, left))
                return
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                    raise BuildFailed("the daemon has no gateway, which --call needs") from None
                if error.code() == grpc.StatusCode.UNAVAILABLE or left <= _PING_PAUSE:
                    raise
            await asyncio.sleep(_PING_PAUSE)

    async def solve(
        self, frontend: str, options: Mapping[str, str], inputs: Mapping[str, bytes] | None = None
    ) -> GatewayResult:
        """Runs a frontend; `inputs` are definitions by name, for options `context:NAME=input:NAME`.

        Raises AioRpcError, and BuildFailed for a result that is too large.
        """
        request = gateway_pb2.SolveRequest(
            frontend=frontend,
            frontend_options=[gateway_pb2.Option(key=_raw(key), value=_raw(text)) for key, text in options.items()],
            frontend_inputs=[gateway_pb2.Input(key=_raw(key), definition=one) for key, one in (inputs or {}).items()],
            allow_result_return=True,
            allow_result_array_ref=True,
        )
        result = (await self._call("Solve", request, gateway_pb2.SolveResponse)).result
        size = sum(len(entry.value) for entry in result.metadata)
        if size > MAX_METADATA:
            raise BuildFailed(f"the frontend's answer is larger than {MAX_METADATA >> 20} MiB")
        return GatewayResult({entry.key.decode(errors="replace"): entry.value for entry in result.metadata}, result)

    async def solve_definition(self, definition: bytes) -> GatewayResult:
        """Solves LLB (`pb.Definition`, serialized). Raises AioRpcError."""
        request = gateway_pb2.SolveRequest(definition=definition, allow_result_return=True, allow_result_array_ref=True)
        return GatewayResult({}, (await self._call("Solve", request, gateway_pb2.SolveResponse)).result)

    async def read_file(self, result: GatewayResult, path: str, longest: int) -> bytes:
        """Returns at most `longest` bytes of a file of a result with one tree. Raises AioRpcError."""
        request = gateway_pb2.ReadFileRequest(
            ref=result.message.ref.id, file_path=path, range=gateway_pb2.FileRange(length=longest)
        )
        return bytes((await self._call("ReadFile", request, gateway_pb2.ReadFileResponse)).data[:longest])

    async def give(self, result: GatewayResult) -> None:
        """Makes this the result of the solve. Raises AioRpcError."""
        await self._call("Return", gateway_pb2.ReturnRequest(result=result.message), gateway_pb2.ReturnResponse)

    async def fail(self, error: Exception) -> None:
        """Ends the solve with this error. Raises AioRpcError."""
        request = gateway_pb2.ReturnRequest(error=_status(error))
        await self._call("Return", request, gateway_pb2.ReturnResponse, _END_GRACE)

    async def _call(self, method: str, request: Any, response: Any, timeout: float | None = None) -> Any:
        call = self._channel.unary_unary(
            _SERVICE + method, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )(request, metadata=self._metadata, timeout=timeout)
        try:
            return await call
        finally:
            call.cancel()


GatewayWork = Callable[[Gateway], Awaitable[GatewayResult]]
"""Solves through a gateway and returns the result that becomes the whole solve's."""


async def solve_in_gateway(
    channel: grpc.aio.Channel, ref: str, solve: Coroutine[Any, Any, Any], work: GatewayWork
) -> dict[str, str]:
    """Runs `solve`, a call of Control.Solve without frontend, and `work` in its gateway.

    Returns the exporter's response with the metadata of the work's result. Raises AioRpcError, and the work's own
    ClientError.
    """
    outer, inner = asyncio.ensure_future(solve), asyncio.ensure_future(_work(Gateway(channel, ref), work))
    try:
        await asyncio.wait({outer, inner}, return_when=asyncio.FIRST_COMPLETED)
        if not outer.done() and inner.exception() is None:
            await asyncio.wait({outer})
        # Either ends the other; only a daemon at fault lets one wait.
        await asyncio.wait({outer, inner}, timeout=_END_GRACE)
        failed = inner.exception() if inner.done() else None
        if isinstance(failed, ClientError) or (failed and not outer.done()):
            raise failed
        response = dict(outer.result().exporter_response)
        if not inner.done():
            raise BuildFailed("the daemon ended the solve before it had a result")
        result = inner.result()
    finally:
        for task in (outer, inner):
            task.cancel()
        await asyncio.gather(outer, inner, return_exceptions=True)
    return {**response, **{key: text.decode(errors="surrogateescape") for key, text in result.metadata.items()}}


async def _work(gateway: Gateway, work: GatewayWork) -> GatewayResult:
    await gateway.ping()
    try:
        result = await work(gateway)
    except (ClientError, grpc.aio.AioRpcError) as error:
        await gateway.fail(error)
        raise
    await gateway.give(result)
    return result


def _status(error: Exception) -> bytes:
    """The error as google.rpc.Status: a daemon's own with its details, such as the Dockerfile's lines."""
    if isinstance(error, grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata() or ():
            if key == _DETAILS:
                return value if isinstance(value, bytes) else str(value).encode()
        code, text = error.code().value[0], error.details() or ""
    else:
        code, text = grpc.StatusCode.UNKNOWN.value[0], str(error)
    return control_pb2.Status(code=code, message=text).SerializeToString()


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
