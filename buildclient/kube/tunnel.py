"""A byte stream to a BuildKit daemon in a pod: `buildctl dial-stdio` over the Kubernetes API's exec WebSocket.

Rules:
* Connected once the daemon's first SETTINGS frame arrives: the upgrade succeeds before the apiserver has reached the
  container.
* Data in flight is limited in both directions: otherwise the answers that keep a session alive would queue behind it.
* The WebSocket pings: load balancers drop a silent connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from buildclient.base.errors import DaemonLost, ExceptionTable, UnreachableError, map_exceptions
from buildclient.base.oserrors import reason
from buildclient.base.streams import NotBuildKit, first_frame
from buildclient.contract.patterns import pattern
from buildclient.kube.api import KubeApi, api_failure
from buildclient.kube.channels import ERROR, STDERR, STDIN, STDOUT, SUBPROTOCOLS, V5, close_frame, exit_message
from buildclient.kube.frames import LocalProtocolError, RemoteProtocolError
from buildclient.kube.websocket import PING_INTERVAL, Closed, Refused, Target, WebSocket, connect, dial
from buildclient.net.proxy import ProxyRefused, redacted

__all__ = ["ExecConnection", "ExecEndpoint", "SpareConnection", "backoff", "target_of"]

_LOG = logging.getLogger("buildclient.kube")
_COMMAND = ("buildctl", "dial-stdio")
_MESSAGE_SIZE = 128 << 10
"""Bytes of one WebSocket message."""
_NOTSENT_LOWAT = 256 << 10
"""Bytes that the kernel may hold unsent (TCP_NOTSENT_LOWAT): more would only delay what is written next."""
_STDERR_LIMIT = 4096
"""Bytes of standard error to keep, from its end."""
_ATTEMPT_TIMEOUT = 10.0
"""Seconds for one attempt to connect."""
_TRANSIENT = ("tls: internal error", "error dialing backend", "connection refused", "EOF", "i/o timeout")
"""Messages of transient faults between apiserver and kubelet, such as a serving certificate that is not signed yet."""
_TRANSIENT_STATUS = (429, 502, 503, 504)
_GONE = pattern(
    r'container not found|pods "[^"]*" not found|pod does not exist|completed pod|no running task|CONTAINER_EXITED'
    r"|stopped (container|state)|container (is )?not running|exit code 137|exec ended at once"
    r"|the connection (ended|broke)|closed by the other side"
)
"""Messages about a pod that was listed as ready and has ended, or whose container has: the list is seconds late."""


def backoff() -> Iterator[float]:
    """Seconds to wait before each next attempt, without end."""
    yield from (0.1, 0.2, 0.5, 1.0, 2.0)
    while True:
        yield 4.0


async def target_of(api: KubeApi, url: str) -> Target:
    """Returns how a WebSocket reaches a URL of the API server, with its TLS and through its proxy."""
    # An exec plugin may run first, which would block the event loop.
    ssl_context = await asyncio.to_thread(api.authority.ssl_context)
    proxy_context = await asyncio.to_thread(api.proxy_context)
    return Target(url, ssl_context, api.access.tls_server_name, api.proxy, proxy_context)


class ExecEndpoint:
    """The daemon in one pod."""

    authority = "localhost"

    def __init__(
        self,
        api: KubeApi,
        namespace: str,
        pod: str,
        container: str,
        spare: SpareConnection | None = None,
        *,
        ping_interval: float = PING_INTERVAL,
    ) -> None:
        """An empty `container` is that of a pod with only one; `spare` serves the first attempt.

        `ping_interval` is in seconds, and a spare connection's its own.
        """
        self._ping_interval = ping_interval
        self._spare = spare
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._container = container

    @property
    def description(self) -> str:
        """Pod and container, namespace and context."""
        container = f" container {self._container}" if self._container else ""
        return f"pod {self._pod}{container} (namespace {self._namespace}, {self._api.where})"

    async def connect(self, deadline: float) -> ExecConnection:
        """Opens a tunnel whose daemon has answered. Raises UnreachableError, at the deadline with the last reason."""
        loop = asyncio.get_running_loop()
        for number, pause in enumerate(backoff(), 1):
            began = time.monotonic()
            _LOG.debug("exec into %s: attempt %d", self.description, number)
            try:
                connection = await self._attempt(min(_ATTEMPT_TIMEOUT, max(0.1, deadline - loop.time())))
            except _TransientError as error:
                if loop.time() + pause >= deadline:
                    raise DaemonLost(f"cannot reach BuildKit in {self.description}: {error}", silent=True) from None
                _LOG.debug("exec into pod %s: retry in %.1f s: %s", self._pod, pause, error)
                await asyncio.sleep(pause)
            else:
                _LOG.debug("pod %s: BuildKit answers after %.0f ms", self._pod, 1000 * (time.monotonic() - began))
                return connection
        raise AssertionError("backoff does not end")

    async def _attempt(self, seconds: float) -> ExecConnection:
        connection: ExecConnection | None = None
        try:
            async with asyncio.timeout(seconds):
                connection = ExecConnection(await self._upgrade(), self.description)
                await connection.await_daemon()
                return connection
        except TimeoutError:
            if connection is None:
                raise _TransientError(f"no answer from {self._server} within {seconds:.0f} s") from None
            raise _TransientError(
                connection.lost(f"the daemon does not answer: nothing came from it within {seconds:.0f} s")
            ) from None
        except _Ended as error:
            if any(mark in str(error) for mark in _TRANSIENT):
                raise _TransientError(str(error)) from None
            kind = DaemonLost if _GONE.search(str(error)) else UnreachableError
            raise kind(f"cannot reach BuildKit in {self.description}: {error}") from None
        finally:
            if connection is not None and not connection.spoken:
                await connection.close()

    async def _upgrade(self) -> WebSocket:
        target = await target_of(self._api, self._url())
        headers = [("User-Agent", "buildclient"), *await asyncio.to_thread(self._api.authority.headers)]
        began = time.monotonic()
        opened = await self._spare.take() if self._spare else None
        with map_exceptions(self._faults()):
            websocket = await connect(target, headers, SUBPROTOCOLS, ping_interval=self._ping_interval, opened=opened)
        _LOG.debug("exec upgraded to %s in %.0f ms", websocket.subprotocol, 1000 * (time.monotonic() - began))
        _bound_unsent(websocket)
        return websocket

    def _faults(self) -> ExceptionTable:
        what, server = f"cannot exec into {self.description}", self._server

        def refused(error: Refused) -> Exception:
            failure = api_failure(error.status, error.body, what, self._api.where, self._namespace)
            transient = failure.status in _TRANSIENT_STATUS or any(mark in str(failure) for mark in _TRANSIENT)
            if transient:
                return _TransientError(str(failure))
            gone = failure.status not in (401, 403) and _GONE.search(str(failure))
            return DaemonLost(str(failure)) if gone else failure

        def fatal(text: str) -> Any:
            return lambda error: UnreachableError(f"{what}: {text}: {error}")

        return (
            (Refused, refused),
            (ProxyRefused, fatal(f"cannot reach {server}")),
            (LocalProtocolError, fatal("its credentials cannot be sent")),
            (RemoteProtocolError, fatal(f"{server} does not speak WebSocket")),
            (Closed, lambda error: _TransientError(f"{server}: {error}")),
            (ConnectionError, lambda error: _TransientError(f"{server}: {reason(error)}")),
            (OSError, fatal(f"cannot reach {server}")),
        )

    @property
    def _server(self) -> str:
        return redacted(self._api.access.server)

    def _url(self) -> str:
        query = [("command", word) for word in _COMMAND]
        query += [("container", self._container)] if self._container else []
        query += [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        server = urlsplit(self._api.access.server)
        namespace, pod = quote(self._namespace, safe=""), quote(self._pod, safe="")
        target = self._api.target(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", query)
        return f"{server.scheme}://{server.netloc}{target}"


class SpareConnection:
    """A connection to the API server that is opened before it is known for which exec."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._opening = asyncio.ensure_future(self._open())
        self._taken = False

    async def take(self) -> WebSocket | None:
        """Returns it, once; None if it could not be opened or has ended since."""
        if self._taken:
            return None
        self._taken = True
        try:
            websocket = await self._opening
        except asyncio.CancelledError:
            self._opening.cancel()
            raise
        except Exception as error:
            # What is wrong is found again, and told, by the one who connects then.
            _LOG.debug("no spare connection: %s", error or type(error).__name__)
            return None
        return None if websocket.ended else websocket

    async def close(self) -> None:
        """Ends it, unless it was taken."""
        if self._taken:
            return
        self._taken = True
        self._opening.cancel()
        for websocket in await asyncio.gather(self._opening, return_exceptions=True):
            if isinstance(websocket, WebSocket):
                websocket.abort()

    async def _open(self) -> WebSocket:
        target = await target_of(self._api, self._api.access.server)
        async with asyncio.timeout(_ATTEMPT_TIMEOUT):
            return await dial(target)


class ExecConnection:
    """An exec whose standard streams are a connection to the daemon; fulfils `buildclient.base.streams.Connection`."""

    def __init__(self, websocket: WebSocket, where: str) -> None:
        self._websocket = websocket
        self._where = where
        self._stderr = b""
        self._first: list[bytes] = []
        self._ended = False
        self.spoken = False
        """Whether the daemon's first frame has arrived."""

    @property
    def answers(self) -> bool | None:
        """Whether the API server has answered lately."""
        return self._websocket.answers

    async def await_daemon(self) -> None:
        """Waits for the daemon's SETTINGS frame and keeps it for `read`. Raises _Ended for anything else."""
        try:
            self._first = await first_frame(self._receive)
        except NotBuildKit as error:
            raise _Ended(str(error)) from None
        if not self._first:
            raise _Ended(self.lost("the exec ended at once"))
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
        """Sends bytes; waits while too much is in flight. Raises UnreachableError."""
        view = memoryview(data)
        try:
            for at in range(0, len(view), _MESSAGE_SIZE):
                await self._websocket.send(b"".join((_STDIN, view[at : at + _MESSAGE_SIZE])))
        except Closed as error:
            raise UnreachableError(f"lost the connection to {self._where}: {self.lost(str(error))}") from None

    async def close_write(self) -> bool:
        """Half-closes the stream, which only v5 of the protocol can."""
        if self._websocket.subprotocol != V5:
            return False
        with contextlib.suppress(Closed):
            await self._websocket.send(close_frame(STDIN))
        return True

    async def close(self) -> None:
        """Ends the exec; may be called twice."""
        # Skip the closing handshake: the server may first send much data.
        self._websocket.abort()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._websocket.wait_closed(), 1)

    def lost(self, reason: str) -> str:
        """The reason, with what the command printed to standard error."""
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
                self._stderr = (self._stderr + message[1:])[-_STDERR_LIMIT:]
            elif channel == ERROR:
                self._ended = True
                if said := exit_message(message[1:]):
                    raise _Ended(self.lost(said))
        return b""


class _Ended(Exception):
    """The exec ended; the message has its reason."""


class _TransientError(Exception):
    """A fault after which a retry may succeed."""


_STDIN = bytes((STDIN,))


def _bound_unsent(websocket: WebSocket) -> None:
    raw = websocket.socket
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, option, _NOTSENT_LOWAT)
