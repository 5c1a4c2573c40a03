"""Counts the round trips that a command makes one after the other: a TCP relay with a delay, for all its connections.

It keeps two clocks (L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978): what the
client sends carries the client's; what the far side sends carries one more than the latest that has reached it. The
client's clock is the latest that has reached it, so at the end it is the number of round trips in a row, whatever goes
on side by side and however long either side computes. A new connection costs one more, for TCP's handshake. Each piece
is under way for half a round trip, so that what is sent at the same time is counted once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Relay", "Trip", "Trips", "counting"]

_CHUNK = 64 << 10


class Trip(NamedTuple):
    """A piece of a connection that has arrived."""

    seconds: float
    """Since the count began."""
    connection: int
    up: bool
    """Whether the client sent it."""
    clock: int
    size: int


class Trips:
    """The clocks of both sides, and what has gone through, of one command."""

    def __init__(self) -> None:
        self.count = 0
        """The client's clock: round trips in a row."""
        self.far = 0
        """The far side's."""
        self.connections = 0
        self.pieces: list[Trip] = []
        self.began = time.monotonic()


class Relay:
    """Leads to a port, and counts."""

    def __init__(self, host: str, port: int, rtt: float) -> None:
        """`rtt` is in seconds."""
        self._host, self._port, self._rtt = host, port, rtt
        self.port = 0
        self.trips = Trips()
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def reset(self) -> None:
        """Begins to count anew; what is under way on connections that are open already is not counted."""
        self.trips = Trips()

    async def serve(self) -> None:
        """Listens on 127.0.0.1, at `port`."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends every connection."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        trips = self.trips
        trips.connections += 1
        number, shaken = trips.connections, trips.count + 1
        earliest = asyncio.get_running_loop().time() + self._rtt
        gone = asyncio.Event()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            ways = (
                self._carry(trips, reader, far_writer, number, True, shaken, earliest, gone),
                self._carry(trips, far_reader, writer, number, False, 0, 0.0, gone),
            )
            await asyncio.gather(*ways)
            far_writer.close()
        writer.close()

    async def _carry(
        self,
        trips: Trips,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        up: bool,
        shaken: int,
        earliest: float,
        gone: asyncio.Event,
    ) -> None:
        """`gone` is set once the client has closed: what comes for it then, it does not wait for."""
        loop = asyncio.get_running_loop()

        def deliver(data: bytes, clock: int, now: Trips) -> None:
            if up:
                now.far = max(now.far, clock)
            else:
                now.count = max(now.count, clock)
            now.pieces.append(Trip(time.monotonic() - now.began, number, up, clock, len(data)))
            if data:
                writer.write(data)
            else:
                writer.close()

        data = b" "
        while data:
            data = await reader.read(_CHUNK)
            now = self.trips
            if up and not data:
                gone.set()
            # A connection that was there before the count began costs no handshake.
            clock = max(now.count, shaken if now is trips else 0) if up else now.far + 1
            if gone.is_set() or not data:
                clock = 0
            loop.call_at(max(loop.time(), earliest) + self._rtt / 2, deliver, data, clock, now)


@contextlib.contextmanager
def counting(host: str, port: int, *, rtt: float = 0.05) -> Iterator[Relay]:
    """Runs a relay to a port in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    relay = Relay(host, port, rtt)
    try:
        asyncio.run_coroutine_threadsafe(relay.serve(), loop).result(10)
        yield relay
    finally:
        asyncio.run_coroutine_threadsafe(relay.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
