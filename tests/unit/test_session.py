"""Several builds of one builder at the same time: one connection to each daemon, one display."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from buildclient import Builder, build_request, of_build
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.progress.terminal import open_display, shown
from buildclient.proto import control_pb2
from tests.load import busy, until


class _Daemon(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Ends no solve before two of them run; every build has a step of the same digest."""

    def __init__(self) -> None:
        self.running = 0
        self.both = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return {
            "Session": grpc.stream_stream_rpc_method_handler(self._session),
            "Solve": grpc.unary_unary_rpc_method_handler(self._solve),
            "Status": grpc.unary_stream_rpc_method_handler(self._status),
        }[details.method.rpartition("/")[2]]

    async def _session(self, requests: Any, context: Any) -> None:
        await asyncio.Event().wait()

    async def _solve(self, request: bytes, context: Any) -> bytes:
        self.running += 1
        if self.running == 2:
            self.both.set()
        await self.both.wait()
        return control_pb2.SolveResponse(exporter_response={"a": "b"}).SerializeToString()

    async def _status(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        vertex = control_pb2.Vertex(digest="sha256:same", name="[1/1] RUN make")
        vertex.started.seconds = int(time.time())
        vertex.completed.seconds = int(time.time())
        yield control_pb2.StatusResponse(vertexes=[vertex]).SerializeToString()


@contextlib.asynccontextmanager
async def _listening(daemon: _Daemon, folder: Path) -> AsyncIterator[tuple[str, list[int]]]:
    """The address of the daemon, and a list that grows with each connection to it."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((daemon,))
    server.add_insecure_port(f"unix:{folder}/daemon")
    await server.start()
    connections: list[int] = []

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        inner_reader, inner_writer = await asyncio.open_unix_connection(f"{folder}/daemon")

        async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while data := await source.read(1 << 16):
                to.write(data)
            to.close()

        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    async with await asyncio.start_unix_server(passed, f"{folder}/counted"):
        yield f"unix://{folder}/counted", connections
        await server.stop(0)


async def _built_twice(builder: Builder, context: str) -> str:
    """Two builds at once into one plain display; what it showed."""
    out = io.StringIO()
    async with shown(open_display("plain", out, {})) as display:
        results = await asyncio.gather(
            *(
                builder.build_async(build_request(context, target=name), of_build(display.feed, name))
                for name in ("web", "api")
            )
        )
    assert len({result.nodes[0].ref for result in results}) == 2
    return out.getvalue()


async def test_two_builds_share_a_connection_and_a_display(tmp_path: Path) -> None:
    """In a session; they run at the same time, and equal steps are told apart by their builds."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    async with _listening(_Daemon(), tmp_path) as (address, connections):
        builder = Builder(output=BuilderOutput("kube", "", (NodeOutput("one", address=address),)), environ={})
        async with builder.session():
            shown_ = await asyncio.wait_for(_built_twice(builder, str(tmp_path)), 30)
        assert len(connections) == 1
    assert "[web 1/1] RUN make" in shown_
    assert "[api 1/1] RUN make" in shown_


async def test_without_a_session_each_build_has_its_own(tmp_path: Path) -> None:
    """And ends it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    async with _listening(_Daemon(), tmp_path) as (address, connections):
        builder = Builder(output=BuilderOutput("kube", "", (NodeOutput("one", address=address),)), environ={})
        await asyncio.wait_for(_built_twice(builder, str(tmp_path)), 30)
        assert len(connections) == 2


async def test_the_end_of_a_session_cancels_what_runs_inside(tmp_path: Path) -> None:
    """Whoever awaits such a build hears CancelledError; the builder can be used again, in a session too."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    daemon = _Daemon()
    async with _listening(daemon, tmp_path) as (address, _):
        builder = Builder(output=BuilderOutput("kube", "", (NodeOutput("one", address=address),)), environ={})
        async with asyncio.timeout(30):
            async with builder.session():
                task = asyncio.create_task(builder.build_async(build_request(str(tmp_path))))
                while not daemon.running:
                    await asyncio.sleep(0.01)
            assert task.cancelled()
            async with builder.session():
                await _built_twice(builder, str(tmp_path))


async def test_a_timeout_ends_a_build(tmp_path: Path) -> None:
    """`asyncio.timeout` raises its own TimeoutError; no task of the build is left."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    daemon = _Daemon()
    async with _listening(daemon, tmp_path) as (address, _):
        builder = Builder(output=BuilderOutput("kube", "", (NodeOutput("one", address=address),)), environ={})
        before = asyncio.all_tasks()
        limit = asyncio.timeout(busy(30))

        async def expire() -> None:
            await until(lambda: daemon.running)
            limit.reschedule(asyncio.get_running_loop().time())

        expiring = asyncio.create_task(expire())
        with pytest.raises(TimeoutError):
            async with limit, builder.session():
                await builder.build_async(build_request(str(tmp_path)))
        await expiring
        assert daemon.running == 1
        left = {task for task in asyncio.all_tasks() - before if "buildclient" in str(task.get_coro())}
        assert not left


async def test_blocking_forms_work_in_threads(tmp_path: Path) -> None:
    """Two at once on one builder, while a session of the loop's thread has connections of its own."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    async with _listening(_Daemon(), tmp_path) as (address, connections):
        builder = Builder(output=BuilderOutput("kube", "", (NodeOutput("one", address=address),)), environ={})
        request = build_request(str(tmp_path))
        async with asyncio.timeout(30), builder.session():
            done = await asyncio.gather(*(asyncio.to_thread(builder.build, request) for _ in range(2)))
        assert [result.nodes[0].response for result in done] == [{"a": "b"}] * 2
        assert len(connections) == 2
