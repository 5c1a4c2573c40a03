"""Lends gRPC a private Unix socket in front of any connection: gRPC wants a target, a tunnel is a byte stream."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import sys

from buildclient.base.errors import UnreachableError
from buildclient.base.streams import Connection, Endpoint

__all__ = ["Bridge", "is_own"]

_CHUNK = 128 << 10
_UCRED = struct.Struct("3i")
"""Linux's `struct ucred`: process, user, group."""


class Bridge:
    """A listener for this user alone; every accepted connection gets one of the endpoint's own.

    On Linux its name is an abstract one, which ends with the process whatever ends that (unix(7)); such a name has no
    permissions, so every connection's user is looked at. Elsewhere it is a socket in a folder of mode 0700.
    """

    def __init__(self, endpoint: Endpoint, first: Connection | None = None) -> None:
        """`first` is a connection that was opened ahead; it serves the first that is accepted."""
        self._endpoint = endpoint
        self._first = first
        self._folder = ""
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.error: UnreachableError | None = None
        """Why the last connection could not be made, or broke."""
        self.heard = 0
        """How many pieces have come from the daemon."""
        self._current: Connection | None = None

    @property
    def answers(self) -> bool | None:
        """Whether the way to the daemon has answered lately; None where that is not known."""
        return self._current.answers if self._current else None

    async def open(self) -> str:
        """Starts listening; gives gRPC's target."""
        if sys.platform == "linux":
            name = f"buildclient-{secrets.token_hex(16)}"
            self._server = await asyncio.start_unix_server(self._accepted, f"\0{name}", limit=2 * _CHUNK)
            return f"unix-abstract:{name}"
        import tempfile  # not for every build

        self._folder = tempfile.mkdtemp(prefix="buildclient-")
        path = os.path.join(self._folder, "s")
        self._server = await asyncio.start_unix_server(self._accepted, path, limit=2 * _CHUNK)
        return f"unix:{path}"

    async def close(self) -> None:
        """Ends every connection and removes the folder."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        if self._first:
            await self._first.close()
        if self._folder:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not is_own(writer.get_extra_info("socket")):
            writer.close()
            return
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        connection: Connection | None = None
        try:
            connection, self._first = self._first, None
            if connection is None:
                connection = await self._endpoint.connect(asyncio.get_running_loop().time() + 30)
            self._current = connection
            await self._pump(reader, writer, connection)
        except UnreachableError as error:
            self.error = error
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if connection is not None:
                with contextlib.suppress(Exception):
                    await connection.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection) -> None:
        async def up() -> None:
            while data := await reader.read(_CHUNK):
                await connection.write(data)
            await connection.close_write()

        async def down() -> None:
            while data := await connection.read():
                self.heard += 1
                writer.write(data)
                await writer.drain()

        # Whichever direction ends first ends both: gRPC never half-closes, and a daemon that ended is gone.
        tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def is_own(sock: socket.socket) -> bool:
    """Whether this user is at the other end."""
    if sys.platform != "linux":
        return True
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return bool(user == os.geteuid())
