"""The exec tunnel, against a small apiserver of our own on loopback (the real one: tests/cluster)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, ClassVar

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pods import KubernetesPods
from buildclient.kube.tunnel import ExecEndpoint, SpareConnection
from tests.jsonserver import JsonHandler, served
from tests.load import busy

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
FAILED = json.dumps({"status": "Failure", "message": "command terminated with exit code 1"}).encode()
Exec = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def cluster(*answers: Exec | tuple[int, str], protocol: str = "v5.channel.k8s.io") -> AsyncIterator[ExecEndpoint]:
    """An endpoint whose apiserver answers the first exec with the first answer, and so on; the last one stays."""
    left = list(answers)

    def choose(connection: ServerConnection, request: Request) -> Response | None:
        answer = left[0] if len(left) == 1 else left.pop(0)
        if isinstance(answer, tuple):
            body = json.dumps({"kind": "Status", "message": answer[1]}).encode()
            return Response(answer[0], "refused", Headers({"Content-Length": str(len(body))}), body)
        connection.answer = answer  # type: ignore[attr-defined]
        return None

    async def run(connection: ServerConnection) -> None:
        await connection.answer(connection)  # type: ignore[attr-defined]

    async with serve(run, "127.0.0.1", 0, process_request=choose, subprotocols=[protocol]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        api = KubeApi(Access(f"http://127.0.0.1:{port}", "test", token="t"), {})
        yield ExecEndpoint(api, "space", "pod-0", "buildkitd")


async def daemon(connection: ServerConnection) -> None:
    """Speaks first as BuildKit does, then gives back what it gets, until its input is closed."""
    await connection.send(b"\1")
    await connection.send(b"\1" + SETTINGS[:5])
    await connection.send(b"\1" + SETTINGS[5:])
    async for message in connection:
        assert isinstance(message, bytes)
        if message == b"\xff\0":
            await connection.send(b'\3{"status":"Success"}')
            return
        assert message[0] == 0
        await connection.send(b"\1" + message[1:])


def fails(stderr: bytes, status: bytes = FAILED) -> Exec:
    """An exec that prints to standard error and ends."""

    async def run(connection: ServerConnection) -> None:
        await connection.send(b"\2" + stderr)
        await connection.send(b"\3" + status)
        await connection.wait_closed()

    return run


def soon(seconds: float = 30) -> float:
    """A deadline on the loop's clock."""
    return asyncio.get_running_loop().time() + seconds


async def everything(connection: Any, size: int) -> bytes:
    """So many bytes of a connection."""
    found = b""
    while len(found) < size:
        found += await connection.read()
    return found


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("", "/api/v1/namespaces/n/pods"),
        ("/", "/api/v1/namespaces/n/pods"),
        ("/k8s/clusters/c-1/", "/k8s/clusters/c-1/api/v1/namespaces/n/pods"),
        ("/p?token=1#part", "/p/api/v1/namespaces/n/pods"),
    ],
)
async def test_requests_go_below_the_servers_own_path(server: str, path: str) -> None:
    """The one for an exec as well as the others; what else a server's URL holds is no part of theirs (client-go)."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        writer.write(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        api = KubeApi(Access(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}{server}", "test"), {})
        with pytest.raises(UnreachableError):
            await api.get("/api/v1/namespaces/n/pods", {}, "pods")
        with pytest.raises(UnreachableError):
            await ExecEndpoint(api, "n", "pod-0", "buildkitd").connect(soon())
    assert seen[0] == path
    assert seen[1].startswith(f"{path}/pod-0/exec?command=buildctl&command=dial-stdio&container=buildkitd&stdin=true&")


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_bytes_go_both_ways(protocol: str) -> None:
    """What is written comes back whole, behind the daemon's first frame."""
    data = bytes(range(256)) * 2000
    async with cluster(daemon, protocol=protocol) as endpoint:
        connection = await endpoint.connect(soon())
        await connection.write(data)
        assert await everything(connection, len(SETTINGS) + len(data)) == SETTINGS + data
        if protocol.startswith("v5"):
            await connection.close_write()
            assert await connection.read() == b""
        await connection.close()
        await connection.close()


async def test_a_fault_that_passes_is_tried_again() -> None:
    """A kubelet whose serving certificate is not signed yet does not end a build."""
    broken = (500, "error dialing backend: remote error: tls: internal error")
    async with cluster(broken, broken, daemon) as endpoint:
        connection = await endpoint.connect(soon())
        assert (await connection.read())[:5] == SETTINGS[:5]
        await connection.close()


async def test_a_retry_is_logged_with_its_reason_and_pause(caplog: pytest.LogCaptureFixture) -> None:
    """So are the attempts and their end."""
    broken = (500, "error dialing backend: remote error: tls: internal error")
    with caplog.at_level("DEBUG", "buildclient.kube"):
        async with cluster(broken, daemon) as endpoint:
            await (await endpoint.connect(soon())).close()
    said = "\n".join(caplog.messages)
    assert re.search(r"attempt 1\n(.*\n)*.*retry in 0\.1 s: .*tls: internal error\n(.*\n)*.*attempt 2\n", said)
    assert "BuildKit answers after" in said


async def test_a_fault_that_stays_is_told_at_the_deadline() -> None:
    """At the deadline the last reason is said, with pod, container, namespace and context."""
    async with cluster((500, "error dialing backend: tls: internal error")) as endpoint:
        with pytest.raises(UnreachableError) as caught:
            await endpoint.connect(soon(busy(0.6)))
    for word in ("tls: internal error", "pod-0", "buildkitd", "space", '"test"'):
        assert word in str(caught.value)


async def test_a_missing_right_is_said_at_once() -> None:
    """403 is not tried again; the cluster's words name the right."""
    said = 'pods "pod-0" is forbidden: User "ci" cannot create resource "pods/exec" in API group ""'
    async with cluster((403, said)) as endpoint:
        with pytest.raises(UnreachableError, match=r"forbidden \(RBAC\): .*pods/exec"):
            await asyncio.wait_for(endpoint.connect(soon(60)), 20)


async def test_what_dial_stdio_prints_is_in_the_message() -> None:
    """A container without a daemon says why, in one line."""
    async with cluster(fails(b"error: dial unix /run/buildkit/buildkitd.sock:\n no such file\n")) as endpoint:
        with pytest.raises(UnreachableError) as caught:
            await endpoint.connect(soon())
    assert "exit code 1: error: dial unix /run/buildkit/buildkitd.sock: no such file" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_what_is_no_daemon_is_refused() -> None:
    """Connected means that HTTP/2's SETTINGS came, not just any bytes."""

    async def shell(connection: ServerConnection) -> None:
        await connection.send(b"\1Welcome to the container\n")
        await connection.wait_closed()

    async with cluster(shell) as endpoint:
        with pytest.raises(UnreachableError, match="is not BuildKit's"):
            await endpoint.connect(soon())


async def test_a_silent_daemon_is_given_up() -> None:
    """Nothing said until the deadline is an error that says so."""

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with cluster(silent) as endpoint:
        with pytest.raises(UnreachableError, match="the daemon does not answer"):
            await endpoint.connect(soon(busy(0.5)))


async def test_a_break_is_never_an_end() -> None:
    """A tunnel that breaks raises; only the exec's own success is an end."""

    async def breaks(connection: ServerConnection) -> None:
        await connection.send(b"\1" + SETTINGS)
        connection.transport.abort()

    async with cluster(breaks) as endpoint:
        connection = await endpoint.connect(soon())
        assert await connection.read() == SETTINGS
        with pytest.raises(UnreachableError, match="lost the connection"):
            await connection.read()
        await connection.close()


async def test_cancelling_a_connect_leaves_nothing_open() -> None:
    """A connect that is cancelled closes its socket."""
    opened, closed = asyncio.Event(), asyncio.Event()

    async def silent(connection: ServerConnection) -> None:
        opened.set()
        await connection.wait_closed()
        closed.set()

    async with cluster(silent) as endpoint:
        task = asyncio.ensure_future(endpoint.connect(soon(30)))
        await asyncio.wait_for(opened.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 20)


def pod(name: str, *, ready: bool = True, version: str = "1", **status: Any) -> dict[str, Any]:
    """A pod as the API gives it."""
    return {
        "metadata": {"name": name, "namespace": "space", "resourceVersion": version},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], **status},
    }


class _Api(JsonHandler):
    lists: ClassVar[list[Any]] = []
    events: ClassVar[list[Any]] = []
    watches = 0

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        if "watch=1" in self.path:
            type(self).watches += 1
            self.send_response(200)
            self.end_headers()
            for event in self.events:
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
            threading.Event().wait(0.3)
            return
        answer = self.lists[0] if len(self.lists) == 1 else self.lists.pop(0)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        self.answer(status, body)


@pytest.fixture
def api() -> Iterator[tuple[type[_Api], KubernetesPods]]:
    """An API whose lists and events a test sets, and the pods read from it."""
    kind = type("Api", (_Api,), {"lists": [], "events": [], "watches": 0})
    with served(kind) as address:
        yield kind, KubernetesPods(KubeApi(Access(f"http://{address}", "test"), {}))


async def _counted(endpoint_of: Callable[[KubeApi, SpareConnection], ExecEndpoint], *, wait: float) -> tuple[int, bool]:
    """Connects with a spare connection after a while; how many connections the server had, and whether it answered."""
    async with serve(daemon, "127.0.0.1", 0, subprotocols=["v5.channel.k8s.io"]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        opened = 0

        async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            if opened == 1 and wait:
                writer.close()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

            async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    to.write(data)
                to.close()

            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True)

        async with await asyncio.start_server(relayed, "127.0.0.1", 0) as relay:
            api = KubeApi(Access(f"http://127.0.0.1:{relay.sockets[0].getsockname()[1]}", "test", token="t"), {})
            spare = SpareConnection(api)
            await asyncio.sleep(wait)
            connection = await endpoint_of(api, spare).connect(soon())
            answered = (await connection.read())[:5] == SETTINGS[:5]
            await connection.close()
            await spare.close()
            return opened, answered


async def test_a_spare_connection_serves_the_first_attempt() -> None:
    """No other is opened; one that has ended meanwhile is replaced."""

    def endpoint_of(api: KubeApi, spare: SpareConnection) -> ExecEndpoint:
        return ExecEndpoint(api, "space", "pod-0", "buildkitd", spare)

    assert await _counted(endpoint_of, wait=0) == (1, True)
    assert await _counted(endpoint_of, wait=0.1) == (2, True)


async def test_a_spare_connection_that_is_not_used_is_closed() -> None:
    """Also while it is being opened."""
    came, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listener:
        api = KubeApi(Access(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", "test"), {})
        spare = SpareConnection(api)
        await asyncio.wait_for(came.wait(), 20)
        await spare.close()
        await asyncio.wait_for(ended.wait(), 20)
        assert await spare.take() is None
        await SpareConnection(api).close()
    assert await SpareConnection(KubeApi(Access("http://127.0.0.1:1", "test"), {})).take() is None
