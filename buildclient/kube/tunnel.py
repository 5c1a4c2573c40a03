"""A byte stream to a BuildKit daemon in a pod: `buildctl dial-stdio` over the Kubernetes API's exec WebSocket.

Rules:
* Connected means that the daemon's first HTTP/2 frame (SETTINGS) has come: the upgrade succeeds before the way from
  the apiserver to the container does.
* What is on the way is bounded in both directions, or the answers that keep a session alive queue behind data.
* The tunnel pings: load balancers drop a silent connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from urllib.parse import urlsplit

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi, api_failure
from buildclient.kube.channels import ERROR, STDERR, STDIN, STDOUT, SUBPROTOCOLS, V5, close_frame, exit_message
from buildclient.kube.websocket import Closed, NoWebSocket, Refused, Target, WebSocket, connect

__all__ = ["ExecConnection", "ExecEndpoint"]

_COMMAND = ("buildctl", "dial-stdio")
_PIECE = 128 << 10
"""Bytes of one WebSocket message."""
_UNSENT = 256 << 10
"""Bytes that the kernel may hold unsent (TCP_NOTSENT_LOWAT): more would only delay what comes after."""
_STDERR_KEPT = 4096
_TRY = 10.0
"""Seconds for one try to connect."""
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between tries."""
_PASSING = ("tls: internal error", "error dialing backend", "connection refused", "EOF", "i/o timeout")
"""Messages of faults between the apiserver and the kubelet that pass, such as a serving certificate not yet signed."""
_PASSING_STATUS = (429, 502, 503, 504)
_SETTINGS = 4


class ExecEndpoint:
    """The daemon in one pod."""

    def __init__(self, api: KubeApi, namespace: str, pod: str, container: str) -> None:
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._container = container

    @property
    def description(self) -> str:
        """Pod and container, namespace and context."""
        return f"pod {self._pod} container {self._container} (namespace {self._namespace}, {self._api.where})"

    async def connect(self, deadline: float) -> ExecConnection:
        """A tunnel whose daemon has spoken. Raises UnreachableError, at the deadline with the last reason."""
        loop = asyncio.get_running_loop()
        pauses = deque(_PAUSES)
        while True:
            try:
                return await self._try(min(_TRY, max(0.1, deadline - loop.time())))
            except _Passing as error:
                pause = pauses.popleft() if pauses else _PAUSES[-1]
                if loop.time() + pause >= deadline:
                    raise UnreachableError(f"cannot reach BuildKit in {self.description}: {error}") from None
                await asyncio.sleep(pause)

    async def _try(self, seconds: float) -> ExecConnection:
        connection: ExecConnection | None = None
        try:
            async with asyncio.timeout(seconds):
                connection = ExecConnection(await self._upgrade(), self.description)
                await connection.await_daemon()
                return connection
        except TimeoutError:
            if connection is None:
                raise _Passing(f"no answer from {self._api.access.server} within {seconds:.0f} s") from None
            raise _Passing(
                connection.lost(f"the daemon does not answer: nothing came from it within {seconds:.0f} s")
            ) from None
        except _Ended as error:
            if any(mark in str(error) for mark in _PASSING):
                raise _Passing(str(error)) from None
            raise UnreachableError(f"cannot reach BuildKit in {self.description}: {error}") from None
        finally:
            if connection is not None and not connection.spoken:
                await connection.close()

    async def _upgrade(self) -> WebSocket:
        api, access = self._api, self._api.access
        # An exec plugin may have to run first; that is no business of the loop's.
        context = await asyncio.to_thread(api.authority.context)
        headers = [("User-Agent", "buildclient"), *await asyncio.to_thread(api.authority.headers)]
        what = f"cannot exec into {self.description}"
        try:
            target = Target(self._url(), context, access.tls_server_name, api.proxy)
            websocket = await connect(target, headers, SUBPROTOCOLS)
        except Refused as error:
            failure = api_failure(error.status, error.body, what, api.where)
            if failure.status in _PASSING_STATUS or any(mark in str(failure) for mark in _PASSING):
                raise _Passing(str(failure)) from None
            raise failure from None
        except NoWebSocket as error:
            raise UnreachableError(f"{what}: the answer is no WebSocket: {error}") from None
        except Closed as error:
            raise _Passing(f"{access.server}: {error}") from None
        except ConnectionError as error:
            raise _Passing(f"{access.server}: {error.strerror or error}") from None
        except OSError as error:
            raise UnreachableError(f"{what}: cannot reach {access.server}: {error}") from None
        _bound_unsent(websocket)
        return websocket

    def _url(self) -> str:
        query = [*(("command", word) for word in _COMMAND), ("container", self._container)]
        query += [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        server = urlsplit(self._api.access.server)
        target = self._api.target(f"/api/v1/namespaces/{self._namespace}/pods/{self._pod}/exec", query)
        return f"{server.scheme}://{server.netloc}{target}"


class ExecConnection:
    """One exec whose standard input and output are the daemon's; fulfils `buildclient.base.streams.Connection`."""

    def __init__(self, websocket: WebSocket, where: str) -> None:
        self._websocket = websocket
        self._where = where
        self._stderr = b""
        self._first: list[bytes] = []
        self._ended = False
        self.spoken = False
        """Whether the daemon's first frame has come."""

    @property
    def answers(self) -> bool | None:
        """Whether the API server has answered lately."""
        return self._websocket.answers

    async def await_daemon(self) -> None:
        """Waits for the daemon's SETTINGS and keeps them for `read`. Raises _Ended when something else comes."""
        head = b""
        while len(head) < 9:
            data = await self._receive()
            if not data:
                raise _Ended(self.lost("the exec ended at once"))
            self._first.append(data)
            head += data
        if head[3] != _SETTINGS:
            raise _Ended(f"what answers there is not BuildKit: {head[:40]!r}")
        self.spoken = True

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises UnreachableError when the exec failed or broke."""
        if self._first:
            return self._first.pop(0)
        try:
            return await self._receive()
        except _Ended as error:
            raise UnreachableError(f"lost the connection to {self._where}: {error}") from None

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while too much is on the way. Raises UnreachableError."""
        view = memoryview(data)
        try:
            for at in range(0, len(view), _PIECE):
                await self._websocket.send(b"".join((_STDIN, view[at : at + _PIECE])))
        except Closed as error:
            raise UnreachableError(f"lost the connection to {self._where}: {self.lost(str(error))}") from None

    async def close_write(self) -> None:
        """Says that no more will be written, where the protocol can (v5)."""
        if self._websocket.subprotocol == V5:
            with contextlib.suppress(Closed):
                await self._websocket.send(close_frame(STDIN))

    async def close(self) -> None:
        """Ends the exec; the daemon's end of it sees the end of its input."""
        # Nobody waits for the closing handshake: the other side may have much to send before it.
        self._websocket.abort()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._websocket.wait_closed(), 1)

    def lost(self, reason: str) -> str:
        """A reason with what the command printed to standard error, if anything."""
        said = " ".join(self._stderr.decode(errors="replace").split())
        return f"{reason}: {said}" if said else reason

    async def _receive(self) -> bytes:
        """The next bytes of standard output; empty at the end. Raises _Ended."""
        while not self._ended:
            try:
                message = await self._websocket.recv()
            except Closed as error:
                raise _Ended(self.lost(str(error))) from None
            channel = message[0] if message else -1
            if channel == STDOUT and len(message) > 1:
                return message[1:]
            if channel == STDERR:
                self._stderr = (self._stderr + message[1:])[-_STDERR_KEPT:]
            elif channel == ERROR:
                self._ended = True
                if said := exit_message(message[1:]):
                    raise _Ended(self.lost(said))
        return b""


class _Ended(Exception):
    """The exec ended, with what it said."""


class _Passing(Exception):
    """A fault after which another try may succeed."""


_STDIN = bytes((STDIN,))


def _bound_unsent(websocket: WebSocket) -> None:
    raw = websocket.socket
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, option, _UNSENT)
