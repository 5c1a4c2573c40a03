"""BuildKit's gateway: frontends run inside a solve that the client holds open, and one result becomes the solve's own.

A solve without frontend and definition waits until `LLBBridge.Return` names its result. Meanwhile the client may solve
as often as it likes, and give one solve's references to the next. Reference: client/build.go, control/gateway and
frontend/gateway/grpcclient of BuildKit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.daemon.channel import Channel
from buildclient.daemon.query import unary
from buildclient.daemon.rpcerror import CODES, RpcError
from buildclient.proto import control_pb2, gateway_pb2

__all__ = ["Gateway", "GatewayResult", "GatewayWork", "solve_in_gateway"]

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD_ID = "buildkit-controlapi-buildid"
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

    def __init__(self, channel: Channel, ref: str) -> None:
        self._channel = channel
        self._metadata = ((_BUILD_ID, ref),)

    async def ping(self) -> None:
        """Waits until the daemon knows the solve. Raises RpcError, and BuildFailed for a daemon without gateway."""
        deadline = asyncio.get_running_loop().time() + _PING_LONGEST
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                await self._call("Ping", gateway_pb2.PingRequest(), gateway_pb2.PongResponse, max(0.1, left))
                return
            except RpcError as error:
                if error.code == "Unimplemented":
                    raise BuildFailed("the daemon has no gateway, which --call needs") from None
                if error.code == "Unavailable" or left <= _PING_PAUSE:
                    raise
            await asyncio.sleep(_PING_PAUSE)

    async def solve(
        self, frontend: str, options: Mapping[str, str], inputs: Mapping[str, bytes] | None = None
    ) -> GatewayResult:
        """Runs a frontend; `inputs` are definitions by name, for options `context:NAME=input:NAME`.

        Raises RpcError, and BuildFailed for a result that is too large.
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
        """Solves LLB (`pb.Definition`, serialized). Raises RpcError."""
        request = gateway_pb2.SolveRequest(definition=definition, allow_result_return=True, allow_result_array_ref=True)
        return GatewayResult({}, (await self._call("Solve", request, gateway_pb2.SolveResponse)).result)

    async def read_file(self, result: GatewayResult, path: str, longest: int) -> bytes:
        """Returns at most `longest` bytes of a file of a result with one tree. Raises RpcError."""
        request = gateway_pb2.ReadFileRequest(
            ref=result.message.ref.id, file_path=path, range=gateway_pb2.FileRange(length=longest)
        )
        return bytes((await self._call("ReadFile", request, gateway_pb2.ReadFileResponse)).data[:longest])

    async def give(self, result: GatewayResult) -> None:
        """Makes this the result of the solve. Raises RpcError."""
        await self._call("Return", gateway_pb2.ReturnRequest(result=result.message), gateway_pb2.ReturnResponse)

    async def fail(self, error: Exception) -> None:
        """Ends the solve with this error. Raises RpcError."""
        request = gateway_pb2.ReturnRequest(error=_status(error))
        await self._call("Return", request, gateway_pb2.ReturnResponse, _END_GRACE)

    async def _call(self, method: str, request: Any, response: Any, timeout: float | None = None) -> Any:
        call = unary(self._channel, _SERVICE + method, response)
        return await call(request, timeout=timeout, metadata=self._metadata)


GatewayWork = Callable[[Gateway], Awaitable[GatewayResult]]
"""Solves through a gateway and returns the result that becomes the whole solve's."""


async def solve_in_gateway(channel: Channel, ref: str, solve: Awaitable[Any], work: GatewayWork) -> dict[str, str]:
    """Runs `solve`, a call of Control.Solve without frontend, and `work` in its gateway.

    Returns the exporter's response with the metadata of the work's result. Raises RpcError, and the work's own
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
    except (ClientError, RpcError) as error:
        await gateway.fail(error)
        raise
    await gateway.give(result)
    return result


def _status(error: Exception) -> bytes:
    """The error as google.rpc.Status: a daemon's own with its details, such as the Dockerfile's lines."""
    if isinstance(error, RpcError):
        if error.status is not None:
            return error.status
        code, text = error.code, error.text
    else:
        code, text = "Unknown", str(error)
    number = CODES.index(code) if code in CODES else CODES.index("Unknown")
    return control_pb2.Status(code=number, message=text).SerializeToString()


def _raw(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
