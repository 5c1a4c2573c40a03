"""The keeper and a command's way to it, against a small apiserver of our own (the real one: tests/cluster)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from buildclient.keep.client import KeptPods
from buildclient.keep.server import Keep
from buildclient.keep.wire import Tunnel
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import Pod
from tests.load import busy

_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
_POD = Pod("pod-0", "space", ready=True, terminating=False)
_TUNNEL = Tunnel("space", "pod-0", "buildkitd")
_READY = {"metadata": {"name": "pod-0", "namespace": "space"}, "status": {"conditions": []}}


class _Cluster:
    """An API server with one pod, whose daemon gives back what it gets."""

    def __init__(self) -> None:
        self.execs: list[ServerConnection] = []
        self.lists = 0
        self.status = 200
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with serve(
            self._exec,
            "127.0.0.1",
            0,
            process_request=self._answer,
            subprotocols=["v5.channel.k8s.io"],  # type: ignore[list-item]
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.status == 200 and "/exec?" in request.path:
            return None
        self.lists += 1
        body = json.dumps({"items": [_READY]} if self.status == 200 else {"message": "no"}).encode()
        return Response(self.status, "said", Headers({"Content-Length": str(len(body))}), body)

    async def _exec(self, connection: ServerConnection) -> None:
        self.execs.append(connection)
        await connection.send(b"\1" + _SETTINGS)
        async for message in connection:
            assert isinstance(message, bytes)
            await connection.send(b"\1" + message[1:])


class _Ground:
    """A cluster, a user's files, and a keeper."""

    def __init__(self, folder: Path, cluster: _Cluster) -> None:
        self.cluster = cluster
        self.config = folder / "config"
        self.config.write_text("one")
        self.environ = {"XDG_RUNTIME_DIR": str(folder)}
        self.access = Access(f"http://127.0.0.1:{cluster.port}", "test", token="t")
        self.path = self.command().keeper.path
        os.makedirs(os.path.dirname(self.path), mode=0o700)
        self.keep = self.made(60)
        self.serving: asyncio.Task[None] | None = None

    def made(self, seconds: float) -> Keep:
        """A keeper, with a tunnel into the pod."""
        return Keep(KubeApi(self.access, {}), [str(self.config)], seconds, [_TUNNEL])

    def command(self) -> KeptPods:
        """What a command connects by."""
        return KeptPods(self.access, [str(self.config)], self.environ)

    async def start(self, keep: Keep | None = None) -> None:
        """Runs the keeper until its tunnel is there."""
        self.keep = keep or self.keep
        self.serving = asyncio.create_task(self.keep.run(self.path))
        await until(lambda: bool(self.cluster.execs) and os.path.exists(self.path))
        await asyncio.sleep(0.05)

    async def connected(self) -> Any:
        """A connection of a command whose daemon answers."""
        connection = await self.command().endpoint(_POD, "buildkitd").connect(asyncio.get_running_loop().time() + 30)
        await connection.write(b"hello")
        data = b""
        while len(data) < len(_SETTINGS) + 5:
            data += await connection.read()
        assert data == _SETTINGS + b"hello"
        return connection

    async def gone(self) -> str:
        """Waits for the keeper's end; why it ended."""
        assert self.serving
        await asyncio.wait_for(self.serving, busy(5))
        assert not os.path.exists(self.path)
        return self.keep.why


async def until(true: Callable[[], bool]) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(busy(5)):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture
async def ground() -> AsyncIterator[_Ground]:
    """A keeper that is ended afterwards; its socket's path has to be short."""
    cluster = _Cluster()
    with tempfile.TemporaryDirectory(prefix="keep-") as folder:
        async with cluster.serving():
            one = _Ground(Path(folder), cluster)
            yield one
            one.keep.end("the test is over")
            if one.serving:
                await asyncio.wait_for(one.serving, 5)


async def test_a_command_takes_the_tunnel_that_is_there(ground: _Ground) -> None:
    """It has it alone; the next one is opened once it is given back."""
    await ground.start()
    connection = await ground.connected()
    assert len(ground.cluster.execs) == 1
    await connection.close()
    await until(lambda: len(ground.cluster.execs) == 2)
    again = await ground.connected()
    assert len(ground.cluster.execs) == 2
    await again.close()


async def test_two_commands_at_once_have_a_tunnel_each(ground: _Ground) -> None:
    """The second is opened when it is asked for."""
    await ground.start()
    one, other = await ground.connected(), await ground.connected()
    assert len(ground.cluster.execs) == 2
    await one.close()
    await other.close()


async def test_pods_are_listed_anew_for_every_command(ground: _Ground) -> None:
    """What the keeper has seen earlier is not what counts."""
    await ground.start()
    for number in (1, 2):
        command = ground.command()
        assert [pod.name for pod in await command.list("space", {"app": "x"})] == ["pod-0"]
        assert command.keeper.answered
        assert ground.cluster.lists == number


async def test_it_ends_once_it_is_not_used(ground: _Ground) -> None:
    """A command that runs uses it, however long."""
    unused = busy(0.5)
    await ground.start(ground.made(unused))
    connection = await ground.connected()
    await asyncio.sleep(2 * unused)
    assert not ground.keep.ended.is_set()
    await connection.close()
    assert await ground.gone() == "it was not used"


async def test_a_changed_kubeconfig_ends_it(ground: _Ground) -> None:
    """A command that has read the new file does not find it; one that has read the old one does without it."""
    await ground.start()
    old = ground.command()
    ground.config.write_text("another")
    assert ground.command().keeper.path != ground.path
    assert [pod.name for pod in await old.list("space", {})] == ["pod-0"]
    assert not old.keeper.answered
    assert await ground.gone() == "the kubeconfig has changed"


async def test_a_pod_that_is_gone_ends_it(ground: _Ground) -> None:
    """Its tunnel has ended, and there is no other."""
    await ground.start()
    await ground.cluster.execs[0].close()
    assert await ground.gone() == "its pods are gone"


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_end_it(ground: _Ground, status: int) -> None:
    """The command asks by itself, and has the cluster's own words."""
    await ground.start()
    ground.cluster.status = status
    with contextlib.suppress(Exception):
        connection = await ground.connected()
        await connection.close()
    with pytest.raises(Exception, match=r"credentials|forbidden"):
        await ground.command().list("space", {})
    assert "refuses" in await ground.gone()


async def test_expired_credentials_end_it(ground: _Ground) -> None:
    """A token that says when it ends is not used longer."""
    ground.access = ground.access._replace(token="e30.eyJleHAiOiAxfQ.c2ln")
    await ground.start(ground.made(60))
    assert await ground.gone() == "the credentials have expired"


async def test_it_ends_when_it_is_asked_to(ground: _Ground) -> None:
    """As `buildclient stop` does."""
    await ground.start()
    assert await ground.command().keeper.end()
    assert await ground.gone() == "it was asked to"
    assert not await ground.command().keeper.end()


@pytest.mark.parametrize("said", [b"", b"what?\n", b"{}\n", b'{"size": -1}\n', b'{"size": 5}\n[1]', b"x" * 400_000])
async def test_an_odd_keeper_is_left_alone(ground: _Ground, said: bytes) -> None:
    """The command works as without one."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    async with await asyncio.start_unix_server(odd, ground.path):
        command = ground.command()
        assert [pod.name for pod in await command.list("space", {})] == ["pod-0"]
        if said != b"{}\n":
            connection = await command.endpoint(_POD, "buildkitd").connect(asyncio.get_running_loop().time() + 30)
            assert await connection.read() == _SETTINGS
            await connection.close()


async def test_a_silent_keeper_is_not_waited_for(ground: _Ground) -> None:
    """Nor one that was killed, whose socket is still there."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(silent, ground.path):
        command = ground.command()
        command.keeper.patience = 0.1
        assert [pod.name for pod in await command.list("space", {})] == ["pod-0"]
    assert [pod.name for pod in await ground.command().list("space", {})] == ["pod-0"]


_AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(30)
try:
    sock.connect(sys.argv[1])
    sock.sendall(b'{"get": "/api/v1/namespaces/n/pods", "query": {}}\\n')
    print("said", sock.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
async def test_another_user_is_refused(ground: _Ground) -> None:
    """By the folder; where somebody has opened it to all, by the user that the kernel names, who hears nothing."""
    await ground.start()

    async def nobody(path: str) -> str:
        command = [sys.executable, "-c", _AS_NOBODY, path]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd="/", timeout=60)
        return done.stdout.strip()

    os.chmod(ground.config.parent, 0o755)
    assert await nobody(ground.path) == "PermissionError"
    for path in (ground.path, os.path.dirname(ground.path), os.path.dirname(os.path.dirname(ground.path))):
        os.chmod(path, 0o777)
    assert await nobody(ground.path) in ("said b''", "ConnectionResetError", "BrokenPipeError")
    assert ground.cluster.lists == 0
    # And the command itself trusts no such folder.
    command = ground.command()
    await command.list("space", {})
    assert not command.keeper.answered
