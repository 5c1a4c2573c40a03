"""A keeper against a small apiserver of our own (the real one: tests/cluster)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from buildclient.keep.client import KeptPods
from buildclient.keep.server import Keep
from buildclient.keep.wire import Get, Tunnel
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import Pod
from tests.load import busy

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
POD = Pod("pod-0", "space", ready=True, terminating=False)
TUNNEL = Tunnel("space", "pod-0", "buildkitd")


def pod(name: str, *, ready: bool = True, padding: str = "") -> dict[str, Any]:
    """A pod as the API gives it."""
    return {
        "metadata": {"name": name, "namespace": "space", "managedFields": [{"manager": "kubelet"}]},
        "spec": {"nodeName": "machine", "containers": [{"name": "buildkitd"}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}], "message": padding},
    }


class Cluster:
    """An API server with one pod, whose daemon gives back what it gets."""

    def __init__(self) -> None:
        self.execs: list[ServerConnection] = []
        self.watches: list[ServerConnection] = []
        self.asked: list[str] = []
        """The paths of watches, also of those that were refused."""
        self.pods = [pod("pod-0")]
        self.lists = 0
        self.status = 200
        self.watch_status = 200
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with serve(
            self._exec,
            "127.0.0.1",
            0,
            process_request=self._answer,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.status == 200 and "/exec?" in request.path:
            return None
        status = self.status
        if "watch=1" in request.path:
            self.asked.append(request.path)
            status = self.watch_status
            if status == 200:
                return None
        else:
            self.lists += 1
        said = {"metadata": {"resourceVersion": "7"}, "items": self.pods} if status == 200 else {"message": "no"}
        body = json.dumps(said).encode()
        return Response(status, "said", Headers({"Content-Length": str(len(body))}), body)

    async def tell(self, kind: str, raw: dict[str, Any]) -> None:
        """Sends an event on the latest watch."""
        await self.watches[-1].send(json.dumps({"type": kind, "object": raw}))

    async def _exec(self, connection: ServerConnection) -> None:
        if connection.request and "watch=1" in connection.request.path:
            self.watches.append(connection)
            await connection.wait_closed()
            return
        self.execs.append(connection)
        await connection.send(b"\1" + SETTINGS)
        async for message in connection:
            assert isinstance(message, bytes)
            await connection.send(b"\1" + message[1:])


class Ground:
    """A cluster, a user's files, and a keeper."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.config = folder / "config"
        self.config.write_text("one")
        self.environ = {"XDG_RUNTIME_DIR": str(folder)}
        self.access = Access(f"http://127.0.0.1:{cluster.port}", "test", token="t")
        self.path = self.command().keeper.path
        os.makedirs(os.path.dirname(self.path), mode=0o700)
        self.keep = self.made(60)
        self.serving: asyncio.Task[None] | None = None

    def made(self, seconds: float, lists: Sequence[Get] = (), **settings: Any) -> Keep:
        """A keeper, with a tunnel into the pod."""
        return Keep(KubeApi(self.access, {}), [str(self.config)], seconds, [TUNNEL], lists, **settings)

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
        connection = await self.command().endpoint(POD, "buildkitd").connect(asyncio.get_running_loop().time() + 30)
        await connection.write(b"hello")
        data = b""
        while len(data) < len(SETTINGS) + 5:
            data += await connection.read()
        assert data == SETTINGS + b"hello"
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
