"""The keeper: holds a cluster's connections for the next command of the same user, as ssh's ControlPersist does.

For each pod that was used it holds one tunnel whose daemon has answered, and on which nothing was sent; a command that
takes it has it alone, and another one is opened when that command has ended. Where the API server does not answer on it
any more, or the machine has slept, it is opened anew.

ConfigMaps and lists of pods are read anew for every command, over connections that stay open; but the first list of a
build is given without where a watch has it (`buildclient.keep.watches`).

It ends
* once no command has used it for the time that was asked for,
* when a file of the kubeconfig, or one that it names, changes,
* when the cluster refuses its credentials, or they expire,
* when every pod that it had a tunnel into is gone,
* when it is asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import logging
import os
import time
from collections.abc import Callable, Sequence

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.base.streams import Connection
from buildclient.contract.jsontext import MAX_SIZE
from buildclient.keep import wire
from buildclient.keep.rules import Files, expiry, signature
from buildclient.keep.watches import BOUNDS, Bounds, HttpStatus, Watches
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.tunnel import ExecEndpoint
from buildclient.net.owner import is_own

__all__ = ["Keep", "lock"]

_LOG = logging.getLogger("buildclient.keep")
_LOOK = 1.0
"""Seconds between two looks at what ends it."""
_FRESH = 90.0
"""Seconds that a tunnel may wait: a daemon ends a connection that says nothing for two minutes (gRPC's default)."""
_CONNECT = 25.0
_CHUNK = 128 << 10
_REFUSED = (401, 403)


class Keep:
    """What is kept of one cluster."""

    def __init__(
        self,
        api: KubeApi,
        files: Sequence[str],
        seconds: float,
        pods: Sequence[wire.Tunnel],
        lists: Sequence[wire.Get] = (),
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`files` are the kubeconfig's; `seconds` is how long it stays without use.

        Into `pods` tunnels are opened, and `lists` of pods are watched, within `bounds`.
        """
        self._api = api
        self._files = files
        self._seen: Files = signature(api.access, files)
        self._seconds = seconds
        self._reads = _Reads(api)
        self._watches = Watches(
            api, self._reads.get, lambda why: self.end(f"the cluster refuses: {why}"), bounds, clock
        )
        self._lists = lists
        self._bounds, self._clock = bounds, clock
        self._tunnels: dict[wire.Tunnel, _Waiting] = {}
        self._first = pods
        self._had = False
        self._busy = 0
        self._expires = 0.0
        self._used = time.monotonic()
        self.ended: asyncio.Event = asyncio.Event()
        self.why = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, path: str) -> None:
        """Serves on a Unix socket until it ends; the socket is removed then."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        old = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._accepted, path, limit=wire.MAX_LINE)
        finally:
            os.umask(old)
        try:
            for pod in self._first:
                self._hold(pod)
            for asked in self._lists:
                self._watches.begin(asked)
            looking = asyncio.ensure_future(self._look())
            await self.ended.wait()
            looking.cancel()
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            server.close()
            for waiting in list(self._tunnels.values()):
                await waiting.close()
            for task in self._tasks:
                task.cancel()
            self._watches.close()
            self._reads.close()

    def end(self, why: str) -> None:
        """Ends it, for the first reason that is given."""
        if not self.ended.is_set():
            self.why = why
            _LOG.debug("the keeper ends: %s", why)
            self.ended.set()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK, self._seconds / 2))
            # Its credentials may have to be read from a file, or made by a program.
            self._expires = await asyncio.to_thread(self._expiry)
            if why := self._reason():
                self.end(why)
                return
            for pod, waiting in list(self._tunnels.items()):
                if waiting.failed:
                    del self._tunnels[pod]
                elif self._stale(waiting):
                    del self._tunnels[pod]
                    self._hold(pod)
                    await waiting.close()

    def _stale(self, waiting: _Waiting) -> bool:
        """Whether a tunnel is not to be lent; once the machine has slept, its other end or the network may be gone."""
        return waiting.stale or abs(self._clocks() - waiting.clocks) > self._bounds.slept

    def _clocks(self) -> float:
        return self._clock() - time.monotonic()

    def _reason(self) -> str:
        if signature(self._api.access, self._files) != self._seen:
            return "the kubeconfig has changed"
        if 0 < self._expires <= time.time():
            return "the credentials have expired"
        if self._busy:
            return ""
        if time.monotonic() - self._used > self._seconds:
            return "it was not used"
        if self._had and all(waiting.failed for waiting in self._tunnels.values()):
            return "its pods are gone"
        return ""

    def _expiry(self) -> float:
        authority = self._api.authority
        try:
            return min(filter(None, (expiry(authority.token()), authority.expires())), default=0.0)
        except ClientError:
            return 0.0

    def _hold(self, pod: wire.Tunnel) -> None:
        if pod not in self._tunnels and not self.ended.is_set():
            self._had = True
            self._tunnels[pod] = _Waiting(asyncio.ensure_future(self._open(pod)), self._clocks())

    async def _open(self, pod: wire.Tunnel) -> Connection:
        interval = self._bounds.ping_interval
        endpoint = ExecEndpoint(self._api, pod.namespace, pod.pod, pod.container, ping_interval=interval)
        try:
            return await endpoint.connect(asyncio.get_running_loop().time() + _CONNECT)
        except ApiError as error:
            if error.status in _REFUSED:
                self.end(f"the cluster refuses: {error}")
            raise

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._busy += 1
        try:
            if is_own(writer.get_extra_info("socket")):
                await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._busy -= 1
            self._used = time.monotonic()
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = wire.read_request(await reader.readuntil(b"\n"))
            if signature(self._api.access, self._files) != self._seen:
                self.end("the kubeconfig has changed")
                raise ValueError("the kubeconfig has changed")
            if isinstance(request, wire.Get):
                watched = self._watches.body(request)
                body = await asyncio.to_thread(self._reads.get, request) if watched is None else watched
                writer.write(wire.line({"size": len(body), "watched": watched is not None}) + body)
            elif isinstance(request, wire.End):
                writer.write(wire.line({"ended": True}))
                self.end("it was asked to")
            else:
                await self._lend(request, reader, writer)
                return
        except _Refused as error:
            self.end(f"the cluster refuses: {error}")
            writer.write(wire.line({"error": str(error)}))
        except (ValueError, UnreachableError, OSError, http.client.HTTPException) as error:
            writer.write(wire.line({"error": str(error) or type(error).__name__}))
        await writer.drain()

    async def _lend(self, pod: wire.Tunnel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = self._tunnels.pop(pod, None)
        if waiting and (waiting.failed or self._stale(waiting)):
            await waiting.close()
            waiting = None
        connection = await waiting.take() if waiting else await self._open(pod)
        try:
            writer.write(wire.line({"open": True}))
            await _pump(reader, writer, connection)
        finally:
            with contextlib.suppress(Exception):
                await connection.close()
            self._hold(pod)


class _Waiting:
    """A tunnel that nobody uses yet, or that is being opened."""

    def __init__(self, opening: asyncio.Task[Connection], clocks: float) -> None:
        """`clocks` is by how much they are apart."""
        self._opening = opening
        self.clocks = clocks
        self._since = time.monotonic()
        self._ended: asyncio.Task[bytes] | None = None
        self._head: list[bytes] = []
        opening.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[Connection]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._since = time.monotonic()
            self._ended = asyncio.ensure_future(self._listen(task.result()))

    async def _listen(self, connection: Connection) -> bytes:
        """Keeps what the daemon says by itself, its first frames; returns at the tunnel's end."""
        while data := await connection.read():
            self._head.append(data)
        return data

    @property
    def failed(self) -> bool:
        """Whether it could not be opened, or has ended."""
        opening = self._opening
        if opening.done() and (opening.cancelled() or opening.exception() is not None):
            return True
        return self._ended is not None and self._ended.done()

    @property
    def stale(self) -> bool:
        """Whether the daemon may be about to end it, or the API server does not answer on it."""
        if self._ended is None:
            return False
        return time.monotonic() - self._since > _FRESH or self._opening.result().answers is False

    async def take(self) -> Connection:
        """Returns it, from its first byte on. Raises UnreachableError."""
        connection = await asyncio.shield(self._opening)
        await asyncio.sleep(0)
        if self._ended:
            self._ended.cancel()
            await asyncio.gather(self._ended, return_exceptions=True)
        return _Resumed(connection, self._head)

    async def close(self) -> None:
        """Ends it."""
        for task in (self._opening, self._ended):
            if task:
                task.cancel()
        done = await asyncio.gather(self._opening, return_exceptions=True)
        if not isinstance(done[0], BaseException):
            await done[0].close()
        if self._ended:
            await asyncio.gather(self._ended, return_exceptions=True)


class _Resumed:
    """A connection of which something has been read already; implements Connection."""

    def __init__(self, connection: Connection, head: list[bytes]) -> None:
        self._connection, self._head = connection, head

    @property
    def answers(self) -> bool | None:
        return self._connection.answers

    async def read(self) -> bytes:
        return self._head.pop(0) if self._head else await self._connection.read()

    async def write(self, data: bytes | memoryview) -> None:
        await self._connection.write(data)

    async def close_write(self) -> bool:
        return await self._connection.close_write()

    async def close(self) -> None:
        await self._connection.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection) -> None:
    async def up() -> None:
        while data := await reader.read(_CHUNK):
            await connection.write(data)

    async def down() -> None:
        while data := await connection.read():
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Refused(HttpStatus):
    """The cluster does not accept the credentials."""


class _Reads:
    """GET requests, in threads, over connections that stay open."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._idle: list[http.client.HTTPConnection] = []

    def get(self, request: wire.Get) -> bytes:
        """Returns the body of an answer with status 200. Raises OSError, HTTPException, UnreachableError, _Refused."""
        target = self._api.target(request.path, request.query)
        headers = {"Accept": "application/json", **dict(self._api.authority.headers())}
        while True:
            try:
                # Another thread may take the last one.
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._api.connection(), False
            try:
                connection.request("GET", target, headers=headers)
                response = connection.getresponse()
                body = response.read(MAX_SIZE + 1)
            except (OSError, http.client.HTTPException):
                connection.close()
                # The API server may have closed it meanwhile.
                if kept:
                    continue
                raise
            if response.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            if response.status == 401:
                raise _Refused(401)
            if response.status != 200:
                raise HttpStatus(response.status)
            return body

    def close(self) -> None:
        """Ends the connections."""
        while self._idle:
            self._idle.pop().close()


def lock(path: str) -> int:
    """A handle that holds the lock of a keeper's place; -1 if another has it."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return -1
    return handle
