"""The Control service over a socket: sessions that end or fall silent, and the daemon's record of a build."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.contract.address import Unix
from buildclient.daemon.address import AddressEndpoint
from buildclient.daemon.control import GrpcControl, Timeouts
from buildclient.daemon.provenance import Provenance
from buildclient.proto import control_pb2, history_pb2
from buildclient.request.solve import SolveRequest
from buildclient.session.wire import bytes_message, read_bytes_message
from tests.load import busy, until

_SLSA = "https://slsa.dev/provenance/v1"
Session = Callable[[], Awaitable[None]]


class Daemon(grpc.GenericRpcHandler):  # type: ignore[misc]
    """As much of a daemon as is needed: its session does what it is told, its solve ends when it is told."""

    def __init__(self) -> None:
        self.session: Session = asyncio.Event().wait  # type: ignore[assignment]
        self.solved = asyncio.Event()
        self.record = history_pb2.BuildHistoryRecord()
        self.blobs: dict[str, list[bytes]] = {}
        self.with_history = True
        self.metadata: dict[str, str] = {}
        self.hangs = False
        """Whether it answers no question at all."""
        self.questions = 1000
        """How often it asks for the session's health."""
        self.answers = 0
        self.late = 0
        """How many lines of output come after the solve has ended, one every tenth of a second."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        name = details.method.rpartition("/")[2]
        if name in ("ListenBuildHistory", "Read") and not self.with_history:
            return None
        handlers = {
            "Session": grpc.stream_stream_rpc_method_handler(self._session),
            "Solve": grpc.unary_unary_rpc_method_handler(self._solve),
            "Status": grpc.unary_stream_rpc_method_handler(self._status),
            "ListenBuildHistory": grpc.unary_stream_rpc_method_handler(
                self._history, history_pb2.BuildHistoryRequest.FromString
            ),
            "ListWorkers": grpc.unary_unary_rpc_method_handler(self._solve),
            "Read": grpc.unary_stream_rpc_method_handler(self._read, history_pb2.ReadContentRequest.FromString),
        }
        return handlers[name]

    async def _session(self, requests: Any, context: Any) -> None:
        self._context, self._requests = context, requests
        self.metadata = dict(context.invocation_metadata())
        await self.session()

    async def ask_health(self) -> None:
        """A session whose health is asked for every tenth of a second, as often as it is to be."""
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        session.initiate_connection()

        async def listen() -> None:
            async for message in self._requests:
                for event in session.receive_data(bytes(read_bytes_message(message))):
                    self.answers += isinstance(event, h2.events.StreamEnded)

        listening = asyncio.ensure_future(listen())
        head = [(":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check")]
        for _ in range(self.questions):
            stream = session.get_next_available_stream_id()
            session.send_headers(stream, [*head, (":authority", "x"), ("content-type", "application/grpc")])
            session.send_data(stream, bytes(5), end_stream=True)
            await self._context.write(bytes_message(session.data_to_send()))
            await asyncio.sleep(0.1)
        await listening

    async def _solve(self, request: bytes, context: Any) -> bytes:
        await self.solved.wait()
        return control_pb2.SolveResponse(exporter_response={"a": "b"}).SerializeToString()

    async def _status(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        await self.solved.wait()
        for number in range(self.late):
            await asyncio.sleep(0.1)
            log = control_pb2.VertexLog(vertex="v", msg=b"%d" % number)
            yield control_pb2.StatusResponse(logs=[log]).SerializeToString()

    async def _history(self, request: Any, context: Any) -> AsyncIterator[bytes]:
        if self.hangs:
            await asyncio.Event().wait()
        if request.ref == self.record.ref and request.early_exit:
            yield history_pb2.BuildHistoryEvent(record=self.record).SerializeToString()

    async def _read(self, request: Any, context: Any) -> AsyncIterator[bytes]:
        for piece in self.blobs[request.digest]:
            yield history_pb2.ReadContentResponse(data=piece).SerializeToString()


@contextlib.asynccontextmanager
async def connected(daemon: Daemon, folder: Path, idle: float = 60, **timeouts: float) -> AsyncIterator[GrpcControl]:
    """A connection to the daemon, which listens on a socket in the folder."""
    # As much as Go's servers take.
    server = grpc.aio.server(options=[("grpc.absolute_max_metadata_size", 16 << 20)])
    server.add_generic_rpc_handlers((daemon,))
    server.add_insecure_port(f"unix:{folder}/d")
    await server.start()
    deadline = asyncio.get_running_loop().time() + 10
    control = await GrpcControl.open(
        AddressEndpoint(Unix(f"{folder}/d")), deadline, timeouts=Timeouts(idle, **timeouts)
    )
    try:
        yield control
    finally:
        await control.close()
        await server.stop(0)


async def solve(control: GrpcControl) -> dict[str, str]:
    """A solve without inputs."""
    return await asyncio.wait_for(control.solve(SolveRequest("ref", "dockerfile.v0", {}), [], lambda event: None), 20)


async def test_a_solve_gives_the_exporters_answer(tmp_path: Path) -> None:
    """While its session lasts."""
    daemon = Daemon()
    daemon.solved.set()
    async with connected(daemon, tmp_path) as control:
        assert await solve(control) == {"a": "b"}


@pytest.mark.parametrize(
    "key",
    ["größe", "早餐", "a\nb", "a\x1b[31mb", "\x7f", "\udcff\udcfe", " a b ", "a%20b+c", "x" * 10_000, "早" * 10_000],
)
async def test_a_session_is_opened_whatever_its_key_holds(tmp_path: Path, key: str) -> None:
    """A context's folder may have any name; the daemon reads from the header what was meant."""
    daemon = Daemon()
    daemon.solved.set()
    async with connected(daemon, tmp_path) as control:
        request = SolveRequest("ref", "dockerfile.v0", {}, shared_key=key)
        await asyncio.wait_for(control.solve(request, [], lambda event: None), 20)
    sent = daemon.metadata["x-docker-expose-session-sharedkey"]
    encoded = daemon.metadata.get("x-docker-expose-session-sharedkey-encoded") == "1"
    assert (unquote_plus(sent, errors="surrogateescape") if encoded else sent) == key


@pytest.mark.parametrize(("idle", "longest", "whole"), [(3.0, 60.0, True), (0.5, 0.3, False)])
async def test_progress_that_comes_late_is_waited_for(tmp_path: Path, idle: float, longest: float, whole: bool) -> None:
    """As long as some comes, over a slow way too, and not for ever."""
    daemon = Daemon()
    daemon.solved.set()
    daemon.late = 10
    events: list[Any] = []
    async with connected(daemon, tmp_path, status_idle=idle, status_longest=longest) as control:
        await asyncio.wait_for(control.solve(SolveRequest("ref", "dockerfile.v0", {}), [], events.append), 20)
    assert (len(events) == 10) is whole


async def test_a_session_that_the_daemon_ends_is_no_end(tmp_path: Path) -> None:
    """The solve does not go on without it, even where the daemon says nothing of its own."""
    daemon = Daemon()

    async def leave() -> None:
        return None

    daemon.session = leave
    async with connected(daemon, tmp_path, solve_end_grace=0.2) as control:
        with pytest.raises(UnreachableError, match=r"lost the session with .*: the daemon ended it"):
            await solve(control)


async def test_a_daemon_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    """A daemon asks for the session's health every few seconds; one that is stopped does not, and gets no last word."""
    begun = time.monotonic()
    async with connected(Daemon(), tmp_path, idle=0.5) as control:
        with pytest.raises(
            UnreachableError, match=r"unix:.*: the daemon does not answer: nothing came from it for 0 s"
        ):
            await solve(control)
        assert time.monotonic() - begun < busy(4)


async def test_a_step_that_prints_nothing_goes_on(tmp_path: Path) -> None:
    """As long as the daemon asks for the session's health, however long the solve says nothing."""
    daemon = Daemon()
    daemon.session = daemon.ask_health

    async def last() -> None:
        await asyncio.sleep(3)
        await until(lambda: daemon.answers >= 10)
        daemon.solved.set()

    lasting = asyncio.create_task(last())
    async with connected(daemon, tmp_path, idle=0.6) as control:
        assert await solve(control) == {"a": "b"}
    await lasting


async def test_a_daemon_that_stops_in_mid_step_is_given_up(tmp_path: Path) -> None:
    """After it had asked, and had its answers, for a while."""
    daemon = Daemon()
    daemon.session = daemon.ask_health
    daemon.questions = 10
    begun = time.monotonic()
    async with connected(daemon, tmp_path, idle=0.6) as control:
        with pytest.raises(UnreachableError, match="the daemon does not answer"):
            await solve(control)
        assert 1 < time.monotonic() - begun < busy(5)


@pytest.mark.parametrize("call", ["workers", "provenance"])
@pytest.mark.parametrize(("silence", "patience", "said"), [(0.5, 60, "does not answer"), (60, 0.5, "in time")])
async def test_every_call_that_is_not_answered_ends(
    tmp_path: Path, call: str, silence: float, patience: float, said: str
) -> None:
    """Before a solve and after one, as a daemon that is not reached."""
    daemon = Daemon()
    daemon.hangs = True
    begun = time.monotonic()
    async with connected(daemon, tmp_path, silence) as control:
        deadline = asyncio.get_running_loop().time() + patience
        with pytest.raises(UnreachableError, match=f"unix:.*{said}"):
            await (control.workers(deadline) if call == "workers" else control.provenance("ref", deadline))
        assert time.monotonic() - begun < busy(4)


def _attested(digest: str, size: int) -> history_pb2.BuildResultInfo:
    annotations = {"in-toto.io/predicate-type": _SLSA}
    other = history_pb2.Descriptor(media_type="application/vnd.in-toto+json", digest="sha256:sbom")
    wanted = history_pb2.Descriptor(
        media_type="application/vnd.in-toto+json", digest=digest, size=size, annotations=annotations
    )
    return history_pb2.BuildResultInfo(attestations=[other, wanted])


async def test_the_provenance_of_a_build_is_read_from_its_record(tmp_path: Path) -> None:
    """Of one result, or of each platform's, in as many pieces as it comes."""
    daemon = Daemon()
    daemon.blobs = {"sha256:a": [b"{", b"}"], "sha256:b": [b"[]"]}
    async with connected(daemon, tmp_path) as control:
        deadline = asyncio.get_running_loop().time() + 10
        daemon.record = history_pb2.BuildHistoryRecord(ref="one", result=_attested("sha256:a", 2))
        assert await control.provenance("one", deadline) == {"": Provenance(_SLSA, b"{}")}
        results = {"linux/amd64": _attested("sha256:a", 2), "linux/arm64": _attested("sha256:b", 2)}
        daemon.record = history_pb2.BuildHistoryRecord(ref="two", results=results)
        assert await control.provenance("two", deadline) == {
            "linux/amd64": Provenance(_SLSA, b"{}"),
            "linux/arm64": Provenance(_SLSA, b"[]"),
        }
        daemon.record = history_pb2.BuildHistoryRecord(ref="none", result=history_pb2.BuildResultInfo())
        assert await control.provenance("none", deadline) == {}


async def test_a_provenance_that_is_not_whole_is_an_error(tmp_path: Path) -> None:
    """A stream that ends early is never taken for the end."""
    daemon = Daemon()
    daemon.record = history_pb2.BuildHistoryRecord(ref="one", result=_attested("sha256:a", 3))
    daemon.blobs = {"sha256:a": [b"{}"]}
    async with connected(daemon, tmp_path) as control:
        with pytest.raises(BuildFailed, match="sha256:a is not whole"):
            await control.provenance("one", asyncio.get_running_loop().time() + 10)


async def test_a_daemon_that_keeps_no_records_has_no_provenance(tmp_path: Path) -> None:
    """An old one; its builds are none the worse."""
    daemon = Daemon()
    daemon.with_history = False
    async with connected(daemon, tmp_path) as control:
        assert await control.provenance("one", asyncio.get_running_loop().time() + 10) == {}
