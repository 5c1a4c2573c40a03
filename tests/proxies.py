"""Proxies on loopback for the tests: CONNECT in plain HTTP or inside TLS, and SOCKS5, with a password if wanted."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping

LOGIN = ("me", "p@ss:ö")
IN_URL = "me:p%40ss%3A%C3%B6"
"""LOGIN, as it stands in a URL."""


class Proxy:
    """One proxy; `asked` is where it was asked to go."""

    def __init__(self, kind: str, login: tuple[str, str] | None = None, hosts: Mapping[str, str] | None = None) -> None:
        """`hosts` are names that only the proxy knows, with their addresses."""
        self._kind = kind
        self._login = login
        self._hosts = hosts or {}
        self.asked: list[tuple[str, int]] = []

    @contextlib.asynccontextmanager
    async def serving(self, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Runs it; gives its port."""
        talk = self._socks if self._kind.startswith("socks") else self._http

        tasks: set[asyncio.Task[None]] = set()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await talk(reader, writer)
            writer.close()

        server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        wanted = "Basic " + base64.b64encode(":".join(self._login).encode()).decode() if self._login else None
        if wanted and headers.get("proxy-authorization") != wanted:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        method, address, _ = first.split(" ")
        assert method == "CONNECT"
        host, _, port = address.rpartition(":")
        await self._pass(host.strip("[]"), int(port), reader, writer, b"HTTP/1.1 200 OK\r\n\r\n")

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if self._login else 0
        if method not in methods:
            writer.write(b"\5\xff")
            return
        writer.write(bytes((5, method)))
        if self._login:
            await reader.readexactly(1)
            given = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in range(2)]
            writer.write(b"\1\0" if tuple(given) == self._login else b"\1\1")
            if tuple(given) != self._login:
                return
        *_, kind = await reader.readexactly(4)
        assert kind == 3 or self._hosts == {}
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(str(byte) for byte in await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2))
        # The address of its own end: a name, the rarest kind.
        await self._pass(host, port, reader, writer, b"\5\0\0\3\4here\0\0")

    async def _pass(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fine: bytes
    ) -> None:
        self.asked.append((host, port))
        try:
            far_reader, far_writer = await asyncio.open_connection(self._hosts.get(host, host), port)
        except OSError:
            socks = self._kind.startswith("socks")
            writer.write(b"\5\5\0\1\0\0\0\0\0\0" if socks else b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        writer.write(fine)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


@contextlib.contextmanager
def in_thread(proxy: Proxy, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Runs a proxy in a loop of its own; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = proxy.serving(context)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
