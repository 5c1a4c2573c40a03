"""A link of a given round-trip time and rate: a TCP proxy in user space, for kernels that cannot emulate one.

`python -m bench.link HOST PORT --rtt 0.03 --rate 10e6` prints the port that it listens on, and serves until it is
ended. Each byte leaves when the link has carried those before it, and arrives half a round trip later; a sender is
held back once a link's worth of bytes is under way. The first bytes of a connection wait a whole round trip more, as
for TCP's handshake. What it adds by itself is tested against known rates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Link", "link", "running"]

_CHUNK = 16 << 10
_BUFFER = 256 << 10
"""Bytes of a router's queue, besides what is on the way."""
_ANY = 64 << 20
"""Bytes under way on a link of any rate."""
_ROOT = Path(__file__).resolve().parents[1]


class _Direction:
    """One direction of all connections: they share its rate."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self.rate = delay, rate
        self._free = 0.0
        self.carried = 0

    def arrival(self, size: int, now: float) -> float:
        """When `size` bytes that are sent now have arrived, in seconds on the loop's clock."""
        self.carried += size
        self._free = max(now, self._free) + (size / self.rate if self.rate else 0)
        return self._free + self.delay


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: _Direction, earliest: float
) -> None:
    loop = asyncio.get_running_loop()
    under_way: deque[tuple[float, bytes]] = deque()
    held, most = 0, _BUFFER + int(direction.rate * direction.delay * 2) if direction.rate else _ANY
    changed = asyncio.Event()

    async def deliver() -> None:
        nonlocal held
        while True:
            while not under_way:
                changed.clear()
                await changed.wait()
            await asyncio.sleep(max(0.0, under_way[0][0] - loop.time()))
            due = []
            while under_way and under_way[0][0] <= loop.time():
                due.append(under_way.popleft()[1])
            data = b"".join(due)
            held -= len(data)
            changed.set()
            if b"" in due:
                writer.write(data)
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    delivering = asyncio.ensure_future(deliver())
    try:
        while True:
            data = await reader.read(_CHUNK)
            under_way.append((direction.arrival(len(data), max(loop.time(), earliest)), data))
            held += len(data)
            changed.set()
            if not data:
                break
            while held >= most and not delivering.done():
                changed.clear()
                await changed.wait()
        await delivering
    finally:
        delivering.cancel()


async def _serve(host: str, port: int, rtt: float, rate: float) -> None:
    loop = asyncio.get_running_loop()
    up, down = _Direction(rtt / 2, rate), _Direction(rtt / 2, rate)

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(host, port)
            tasks = [
                asyncio.ensure_future(_carry(reader, far_writer, up, loop.time() + rtt)),
                asyncio.ensure_future(_carry(far_reader, writer, down, 0.0)),
            ]
            with contextlib.suppress(OSError):
                await asyncio.gather(*tasks)
            for task in tasks:
                task.cancel()
            far_writer.close()
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin.fileno(), _told, up, down)
    await server.serve_forever()


def _told(*directions: _Direction) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        return
    print(sum(direction.carried for direction in directions), flush=True)


class Link:
    """A link that runs in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = self._number()
        """The port on 127.0.0.1 that leads through it."""

    def carried(self) -> int:
        """How many bytes it has been given so far, in both directions."""
        assert self._process.stdin is not None
        self._process.stdin.write("?")
        self._process.stdin.flush()
        return self._number()

    def _number(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def running(host: str, port: int, *, rtt: float = 0.0, rate: float = 0.0) -> Iterator[Link]:
    """Runs a link to a port. `rtt` is in seconds, `rate` in bytes per second in each direction, 0 for any."""
    command = [sys.executable, "-m", "bench.link", host, str(port), "--rtt", str(rtt), "--rate", str(rate)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Link(process)
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def link(host: str, port: int, *, rtt: float = 0.0, rate: float = 0.0) -> Iterator[int]:
    """As `running`, but gives the port alone."""
    with running(host, port, rtt=rtt, rate=rate) as started:
        yield started.port


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.link", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--rtt", type=float, default=0.0, help="seconds of a round trip")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes per second in each direction; 0: any")
    asked = parser.parse_args()
    asyncio.run(_serve(asked.host, asked.port, asked.rtt, asked.rate))


if __name__ == "__main__":
    main()
