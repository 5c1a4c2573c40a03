"""Joins a byte stream with two file descriptors, such as standard input and output."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from buildclient.base.streams import Connection
from buildclient.base.threads import in_thread

__all__ = ["join_descriptors"]

_CHUNK = 256 << 10
"""Bytes per read."""
_END_GRACE = 30.0
"""Seconds without a byte after which a half-closed connection counts as ended."""
_CLOSE_GRACE = 0.5
"""As before, where the transport cannot be half-closed, so that the daemon does not learn of the end."""


async def join_descriptors(
    connection: Connection,
    source: int,
    target: int,
    *,
    end_grace: float = _END_GRACE,
    close_grace: float = _CLOSE_GRACE,
) -> None:
    """Copies both ways until the connection ends; the end of `source` half-closes it.

    The descriptors are read and written in threads: they may be files, pipes, sockets or a terminal, and stay as
    blocking as they are. Raises UnreachableError when the connection breaks, OSError for a descriptor.
    """
    heard = [0]
    down = asyncio.ensure_future(_down(connection, target, heard))
    up = asyncio.ensure_future(_up(connection, source))
    try:
        await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
        if not down.done():
            half_closed = up.result()
            await _ended(down, heard, end_grace if half_closed else close_grace)
        if down.done():
            down.result()
    finally:
        for task in (down, up):
            task.cancel()
        await asyncio.gather(down, up, return_exceptions=True)


async def _up(connection: Connection, source: int) -> bool:
    """Sends what can be read; returns whether the connection was half-closed."""
    loop = asyncio.get_running_loop()

    def copy() -> None:
        while data := os.read(source, _CHUNK):
            # Waits for the connection, so that no more than one piece is held here.
            asyncio.run_coroutine_threadsafe(connection.write(data), loop).result()

    await in_thread(copy)
    return await connection.close_write()


async def _down(connection: Connection, target: int, heard: list[int]) -> None:
    while data := await connection.read():
        heard[0] += 1
        await in_thread(partial(_write, target, data))


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


async def _ended(down: asyncio.Future[None], heard: list[int], seconds: float) -> None:
    """Waits for the end, as long as something comes within that many seconds."""
    count = -1
    while not down.done() and count != heard[0]:
        count = heard[0]
        await asyncio.wait([down], timeout=seconds)
