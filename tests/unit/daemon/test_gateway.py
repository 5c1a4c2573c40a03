"""Solves in BuildKit's gateway: what is asked, what is returned, and how each side's failure ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from buildclient.base.errors import BuildFailed, UnreachableError, UsageError
from buildclient.contract.address import Unix
from buildclient.daemon.address import AddressEndpoint
from buildclient.daemon.control import GrpcControl, Timeouts
from buildclient.daemon.gateway import Gateway, GatewayResult
from buildclient.daemon.subrequest import FALLBACK_FRONTEND, subrequest, unless_file
from buildclient.proto import control_pb2, gateway_pb2
from buildclient.request.solve import SolveRequest

_REQUEST = SolveRequest("ref", "dockerfile.v0", {"target": "x", "frontend.caps": "a"}, internal=True)


class Daemon(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A daemon whose solve ends with what its gateway is told."""

    def __init__(self) -> None:
        self.solve = control_pb2.SolveRequest()
        self.asked: list[dict[str, str]] = []
        self.answers: list[bytes | str] = []
        """What the frontend gives, one a solve: `result.json`, or the text of an error."""
        self.known_after = 0
        self.has_gateway = True
        self.fails = ""
        self.code = grpc.StatusCode.UNIMPLEMENTED
        self.returned: asyncio.Future[gateway_pb2.ReturnRequest] = asyncio.get_running_loop().create_future()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method = details.method.rpartition("/")[2]
        if "LLBBridge" in details.method:
            if not self.has_gateway:
                return None
            assert dict(details.invocation_metadata)["buildkit-controlapi-buildid"] == "ref"
            return grpc.unary_unary_rpc_method_handler(
                {"Ping": self._ping, "Solve": self._gateway_solve, "Return": self._return}[method]
            )
        if method == "Session":
            return grpc.stream_stream_rpc_method_handler(self._session)
        if method == "Status":
            return grpc.unary_stream_rpc_method_handler(self._status)
        return grpc.unary_unary_rpc_method_handler(self._solve)

    async def _session(self, requests: Any, context: Any) -> None:
        async for _ in requests:
            pass

    async def _status(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        return
        yield b""

    async def _solve(self, request: bytes, context: Any) -> bytes:
        self.solve = control_pb2.SolveRequest.FromString(request)
        if self.fails:
            await context.abort(grpc.StatusCode.UNKNOWN, self.fails)
        returned = await self.returned
        if returned.error:
            status = control_pb2.Status.FromString(returned.error)
            await context.abort(grpc.StatusCode.UNKNOWN, status.message)
        return control_pb2.SolveResponse(exporter_response={"exported": "yes"}).SerializeToString()

    async def _ping(self, request: bytes, context: Any) -> bytes:
        self.known_after -= 1
        if self.known_after >= 0:
            await context.abort(grpc.StatusCode.UNKNOWN, "no such job ref")
        return b""

    async def _gateway_solve(self, request: bytes, context: Any) -> bytes:
        asked = gateway_pb2.SolveRequest.FromString(request)
        options = {option.key.decode(): option.value.decode() for option in asked.frontend_options}
        self.asked.append({"frontend": asked.frontend, **options})
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            await context.abort(self.code, answer)
        result = gateway_pb2.Result(ref=gateway_pb2.Ref(id="tree"))
        result.metadata.add(key=b"result.json", value=answer)
        result.ParseFromString(result.SerializeToString() + b"\x62\x02\x0a\x00")  # an attestation, unknown here
        return gateway_pb2.SolveResponse(result=result).SerializeToString()

    async def _return(self, request: bytes, context: Any) -> bytes:
        self.returned.set_result(gateway_pb2.ReturnRequest.FromString(request))
        return b""


@contextlib.asynccontextmanager
async def connected(daemon: Daemon, folder: Path) -> AsyncIterator[GrpcControl]:
    """A connection to the daemon, which listens on a socket in the folder."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((daemon,))
    server.add_insecure_port(f"unix:{folder}/d")
    await server.start()
    deadline = asyncio.get_running_loop().time() + 10
    control = await GrpcControl.open(AddressEndpoint(Unix(f"{folder}/d")), deadline, timeouts=Timeouts(60))
    try:
        yield control
    finally:
        await control.close()
        await server.stop(0)


async def ask(daemon: Daemon, folder: Path, name: str = "lint") -> dict[str, str]:
    """The answer to a subrequest."""
    async with connected(daemon, folder) as control:
        solving = control.solve(_REQUEST, [], lambda event: None, subrequest(_REQUEST, name))
        return await asyncio.wait_for(solving, 20)


async def test_a_subrequest(tmp_path: Path) -> None:
    """The solve itself names no frontend; the gateway's does, and its whole result becomes the solve's."""
    daemon = Daemon()
    daemon.answers = [b"{}"]
    assert await ask(daemon, tmp_path) == {"exported": "yes", "result.json": "{}"}
    assert (daemon.solve.frontend, daemon.solve.internal) == ("", True)
    assert daemon.asked == [
        {
            "frontend": "dockerfile.v0",
            "target": "x",
            "frontend.caps": "a,moby.buildkit.frontend.subrequests+forward",
            "requestid": "frontend.lint",
        }
    ]
    returned = daemon.returned.result().result
    assert returned.ref.id == "tree"
    assert returned.SerializeToString().endswith(b"\x62\x02\x0a\x00")


async def test_a_gateway_that_is_late(tmp_path: Path) -> None:
    """A daemon that does not know the solve yet is asked again."""
    daemon = Daemon()
    daemon.answers, daemon.known_after = [b"{}"], 3
    assert (await ask(daemon, tmp_path))["result.json"] == "{}"


async def test_a_frontend_that_fails(tmp_path: Path) -> None:
    """Its error ends the solve, and is the solve's."""
    daemon = Daemon()
    daemon.answers = ["no such target"]
    with pytest.raises(BuildFailed, match=r"^failed to solve: no such target$"):
        await ask(daemon, tmp_path)


async def test_a_frontend_that_is_too_old(tmp_path: Path) -> None:
    """A newer one is asked; where that is not to be had, the first one's error stands, and what to do."""
    daemon = Daemon()
    daemon.answers = ["unsupported request frontend.lint", b"{}"]
    assert (await ask(daemon, tmp_path))["result.json"] == "{}"
    assert daemon.asked[1]["build-arg:BUILDKIT_SYNTAX"] == FALLBACK_FRONTEND
    daemon = Daemon()
    daemon.answers = ["unsupported request frontend.lint", "no route to the registry"]
    with pytest.raises(BuildFailed) as error:
        await ask(daemon, tmp_path)
    assert error.value.message == "failed to solve: unsupported request frontend.lint"
    assert "# syntax=docker/dockerfile:1" in error.value.hint
    assert error.value.of_build


async def test_a_request_that_no_frontend_knows(tmp_path: Path) -> None:
    """Nothing else is asked for a name that is docker/dockerfile's neither."""
    daemon = Daemon()
    daemon.answers = ["unsupported request frontend.own"]
    with pytest.raises(BuildFailed, match=r"unsupported request frontend\.own"):
        await ask(daemon, tmp_path, "own")
    assert len(daemon.asked) == 1


async def test_a_solve_that_fails_first(tmp_path: Path) -> None:
    """Its error is told at once, though the gateway would be asked again and again."""
    daemon = Daemon()
    daemon.fails, daemon.known_after = "entitlement refused", 1000
    with pytest.raises(BuildFailed, match="entitlement refused"):
        await ask(daemon, tmp_path)


async def test_a_solve_that_ends_too_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends it while the work goes on is not waited for without end."""
    monkeypatch.setattr("buildclient.daemon.gateway._END_GRACE", 0.2)
    daemon = Daemon()
    daemon.returned.set_result(gateway_pb2.ReturnRequest())

    async def work(gateway: Gateway) -> GatewayResult:
        await asyncio.sleep(60)
        return await gateway.solve("x", {})

    async with connected(daemon, tmp_path) as control:
        with pytest.raises(BuildFailed, match="the daemon ended the solve before it had a result"):
            await asyncio.wait_for(control.solve(_REQUEST, [], lambda event: None, work), 10)


async def test_a_cancelled_solve_ends_its_work(tmp_path: Path) -> None:
    """Nothing of it goes on."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(gateway: Gateway) -> GatewayResult:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return await gateway.solve("x", {})

    async with connected(Daemon(), tmp_path) as control:
        solving = asyncio.ensure_future(control.solve(_REQUEST, [], lambda event: None, work))
        await asyncio.wait_for(begun.wait(), 20)
        solving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await solving
        assert ended.is_set()


async def test_a_daemon_without_gateway(tmp_path: Path) -> None:
    """One line says what it lacks."""
    daemon = Daemon()
    daemon.has_gateway = False
    with pytest.raises(BuildFailed, match="the daemon has no gateway"):
        await asyncio.wait_for(ask(daemon, tmp_path), 10)


async def test_a_daemon_that_goes_away(tmp_path: Path) -> None:
    """Work in a gateway whose connection breaks ends."""
    daemon = Daemon()

    async def work(gateway: Gateway) -> GatewayResult:
        await control.close()
        return await gateway.solve("x", {})

    async with connected(daemon, tmp_path) as control:
        with pytest.raises((UnreachableError, BuildFailed, asyncio.CancelledError)):
            await asyncio.wait_for(control.solve(_REQUEST, [], lambda event: None, work), 20)


async def test_an_answer_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused in a line, and the solve ended."""
    monkeypatch.setattr("buildclient.daemon.gateway.MAX_METADATA", 1 << 20)
    daemon = Daemon()
    daemon.answers = [b"x" * ((1 << 20) + 1)]
    with pytest.raises(BuildFailed, match="the frontend's answer is larger than 1 MiB"):
        await ask(daemon, tmp_path)
    assert daemon.returned.result().error


async def _guarded(daemon: Daemon, folder: Path) -> dict[str, str]:
    attrs = {"context": "https://x/r.git", "contextsubdir": "sub", "filename": "Dockerfile", "label:a": "b"}
    request = SolveRequest("ref", "gateway.v0", attrs)
    work = unless_file(request, "Dockerfile.rego", UsageError("there is a policy"), None)
    async with connected(daemon, folder) as control:
        return await asyncio.wait_for(control.solve(request, [], lambda event: None, work), 20)


async def test_a_context_without_the_file(tmp_path: Path) -> None:
    """The frontend looks for it as for a Dockerfile; then the request's own is solved."""
    daemon = Daemon()
    daemon.answers = ["failed to read dockerfile: open Dockerfile.rego: no such file or directory", b"{}"]
    assert (await _guarded(daemon, tmp_path))["result.json"] == "{}"
    looked, solved = daemon.asked
    assert (looked["frontend"], looked["filename"], looked["context"]) == (
        "dockerfile.v0",
        "Dockerfile.rego",
        "https://x/r.git",
    )
    assert looked["requestid"] == "frontend.targets"
    assert (solved["frontend"], solved["filename"], solved["label:a"]) == ("gateway.v0", "Dockerfile", "b")


@pytest.mark.parametrize("answer", [b"{}", "dockerfile parse error on line 1: unknown instruction: package"])
async def test_a_context_with_the_file(tmp_path: Path, answer: bytes | str) -> None:
    """The build is refused, whether or not the file could pass for a Dockerfile."""
    daemon = Daemon()
    daemon.answers = [answer, "failed to read dockerfile: open x: no such file or directory"]
    with pytest.raises(UsageError, match="there is a policy"):
        await _guarded(daemon, tmp_path)
    assert len(daemon.asked) == 2


async def test_a_url_of_a_dockerfile(tmp_path: Path) -> None:
    """The frontend finds it under every name, so none of them is a policy's."""
    daemon = Daemon()
    daemon.answers = [b"{}", b"{}", b"{}"]
    assert (await _guarded(daemon, tmp_path))["result.json"] == "{}"
    assert daemon.asked[2]["filename"] == "Dockerfile"


async def test_a_context_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """Nothing is built from it: the file may be there."""
    daemon = Daemon()
    daemon.answers = ["failed to read dockerfile: permission denied"]
    daemon.code = grpc.StatusCode.UNKNOWN
    with pytest.raises(BuildFailed, match=r"^failed to stat policy file Dockerfile\.rego: permission denied$"):
        await _guarded(daemon, tmp_path)
    assert len(daemon.asked) == 1
