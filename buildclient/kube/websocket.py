"""One WebSocket over asyncio: connects (through a proxy if there is one), sends, receives, pings.

Rules: at the limit of unread messages the transport stops reading; `send` waits while the transport's buffer is full;
a peer that is silent for the ping timeout counts as lost, except while reading is paused and its answers are unread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from buildclient.contract.urls import bracketed
from buildclient.kube import frames as ws
from buildclient.net.hostname import encoded
from buildclient.net.proxy import ProxyRefused, of_proxy, proxy_headers, read_proxy, redacted

if TYPE_CHECKING:
    from buildclient.net.socks import Steps

__all__ = ["PING_INTERVAL", "Closed", "Refused", "Target", "WebSocket", "connect", "dial"]

_LOG = logging.getLogger("buildclient.kube")
_HIGH, _LOW = 48, 16
"""Unread messages at which reading pauses and resumes: 1.5 MiB, since the apiserver's are of 32 KiB."""
_WRITE_HIGH = 128 << 10
"""Bytes that the transport may buffer before `send` waits; asyncio's default is 64 KiB."""
PING_INTERVAL = 10.0
"""Seconds between pings: load balancers drop silent connections. kubectl pings every 5 s."""
PING_TIMEOUT = 60.0
"""Seconds of silence after which a peer counts as lost; 61 s in kubectl, since a server blocked on a slow container
answers late."""
_MASK_IN_C = 4096
"""Bytes from which a library is loaded for masking; small builds never send that much at once."""


class Closed(Exception):
    """The connection is closed or broken; the message says how."""


class Refused(Exception):
    """The upgrade was refused with an HTTP status."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class Target(NamedTuple):
    """What to connect to, and how."""

    url: str
    """`http://` or `https://`, with path and query."""
    ssl_context: SSLContext | None = None
    """None for plain HTTP."""
    server_name: str = ""
    """The name in the server's certificate, if it is not the URL's host."""
    proxy: str = ""
    """`http://`, `https://` or `socks5://[user:password@]host:port`; empty for none."""
    proxy_context: SSLContext | None = None
    """For TLS with an https:// proxy."""


async def connect(
    target: Target,
    headers: Sequence[tuple[str, str]],
    protocols: Sequence[str],
    *,
    ping_interval: float = PING_INTERVAL,
    ping_timeout: float = PING_TIMEOUT,
    opened: WebSocket | None = None,
) -> WebSocket:
    """Connects and upgrades. Raises Refused, ProxyRefused, Closed, WebSocketError, OSError.

    `ping_interval` and `ping_timeout` (of silence) are seconds. Cancelled, it leaves nothing open. What goes wrong at
    a proxy is an OSError that names it: a ConnectionError where another try may help, else ProxyRefused. `opened` is a
    connection to the same server by `dial`.
    """
    url = urlsplit(target.url)
    socket_ = opened or await dial(target, ping_interval=ping_interval, ping_timeout=ping_timeout)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        await socket_.upgrade(url.netloc.rpartition("@")[2], path, headers, protocols)
    except BaseException:
        socket_.abort()
        raise
    return socket_


async def dial(
    target: Target, *, ping_interval: float = PING_INTERVAL, ping_timeout: float = PING_TIMEOUT
) -> WebSocket:
    """Connects, with TLS and through a proxy if need be, and sends nothing. Raises as `connect` does."""
    url = urlsplit(target.url)
    host, port = url.hostname or "", url.port or (443 if target.ssl_context else 80)
    name = (target.server_name or host) if target.ssl_context else None
    encoded_name = encoded(name) if name else None
    loop = asyncio.get_running_loop()
    _LOG.debug(
        "connect to %s://%s:%d%s%s",
        url.scheme,
        bracketed(host),
        port,
        f" as {name}" if name and name != host else "",
        f" through proxy {redacted(target.proxy)}" if target.proxy else "",
    )
    socket_ = WebSocket(ping_interval, ping_timeout)
    try:
        if target.proxy:
            await _through_proxy(socket_, target, host, port)
            if target.ssl_context and name:
                await socket_.secure(target.ssl_context, name)
        else:
            await loop.create_connection(
                lambda: socket_, host, port, ssl=target.ssl_context, server_hostname=encoded_name
            )
    except BaseException:
        socket_.abort()
        raise
    return socket_


async def _through_proxy(socket_: WebSocket, target: Target, host: str, port: int) -> None:
    from buildclient.net.socks import SocksRefused, socks5

    proxy = read_proxy(target.proxy)
    ssl_context = target.proxy_context if proxy.scheme == "https" else None
    name = proxy.host if ssl_context else None
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: socket_, proxy.host, proxy.port, ssl=ssl_context, server_hostname=name
        )
        if proxy.is_socks:
            await socket_.through_socks(socks5(host, port, proxy.username, proxy.password))
        else:
            await socket_.through_proxy(f"{bracketed(host)}:{port}", proxy_headers(target.proxy))
    except Closed as error:
        raise ConnectionError(f"proxy {redacted(target.proxy)}: {error}") from None
    except (OSError, SocksRefused, ws.WebSocketError) as error:
        raise of_proxy(target.proxy, error) from None


class WebSocket(asyncio.Protocol):
    """An open WebSocket; made by `connect`."""

    def __init__(self, ping_interval: float, ping_timeout: float) -> None:
        self.subprotocol = ""
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._reader: ws.MessageReader | None = None
        self._messages: deque[bytes] = deque()
        self._paused = False
        self._room = asyncio.Event()
        self._room.set()
        self._arrived = asyncio.Event()
        self._ended = ""
        self._gone = asyncio.Event()
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def socket(self) -> socket.socket | None:
        """The socket below."""
        found: socket.socket | None = self._transport.get_extra_info("socket") if self._transport else None
        return found

    @property
    def ended(self) -> bool:
        """Whether it is closed or broken."""
        return bool(self._ended)

    @property
    def answers(self) -> bool:
        """Whether anything arrived lately, at least the answer to the last ping."""
        return self._loop.time() - self._heard < 1.5 * self._ping_interval

    async def recv(self) -> bytes:
        """The next message. Raises Closed once all are read."""
        while not self._messages:
            if self._ended:
                raise Closed(self._ended)
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if self._paused and len(self._messages) <= _LOW and self._transport:
            self._paused, self._heard = False, self._loop.time()
            self._transport.resume_reading()
        return message

    async def send(self, data: bytes) -> None:
        """Sends a binary message; waits while too much is in flight. Raises Closed."""
        self._send(ws.BINARY, data)
        if not self._room.is_set():
            await self._room.wait()
        if self._ended:
            raise Closed(self._ended)

    def abort(self) -> None:
        """Ends it at once."""
        self._end("closed")
        if self._transport:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Waits until the transport is gone."""
        if self._transport:
            await self._gone.wait()

    async def through_proxy(self, address: str, headers: Mapping[str, str]) -> None:
        """Asks an HTTP proxy for a tunnel (CONNECT). Raises ProxyRefused, Closed, RemoteProtocolError."""
        lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._write("\r\n".join([*lines, "", ""]).encode())
        head = await self._answer()
        if head.status != 200:
            raise ProxyRefused(f"it refuses the connection: {head.status} {head.reason}")

    async def through_socks(self, steps: Steps) -> None:
        """Asks a SOCKS5 proxy for a tunnel, in steps of `buildclient.net.socks`. Raises what they do, and Closed."""
        try:
            data, size = next(steps)
            while True:
                self._write(data)
                while len(self._head) < size:
                    await self._more()
                answer, self._head = self._head[:size], self._head[size:]
                data, size = steps.send(answer)
        except StopIteration:
            return

    async def secure(self, ssl_context: SSLContext, name: str) -> None:
        """Starts TLS on the connection."""
        assert self._transport is not None
        transport = await self._loop.start_tls(self._transport, self, ssl_context, server_hostname=name)
        assert transport is not None
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH)

    async def upgrade(self, host: str, path: str, headers: Sequence[tuple[str, str]], protocols: Sequence[str]) -> None:
        """The opening handshake. Raises Refused, Closed, WebSocketError."""
        key = os.urandom(16)
        self._write(ws.request(host, path, key, protocols, headers))
        head = await self._answer()
        if head.status != 101:
            raise Refused(head.status, await self._body(head))
        self.subprotocol = ws.accepted(head, key, protocols)
        self._reader = ws.MessageReader()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._ping_interval, self._tick)
        if head.rest:
            self._read(head.rest)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._reader is None:
            self._head += data
            self._arrived.set()
        else:
            self._read(data)

    def eof_received(self) -> None:
        self._end("the connection ended without a closing frame")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection broke: {exc}" if exc else "the connection ended without a closing frame")
        self._gone.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def _answer(self) -> ws.Head:
        while (head := ws.read_head(self._head)) is None:
            await self._more()
        self._head = b""
        return head

    async def _body(self, head: ws.Head) -> bytes:
        data = head.rest
        while (body := ws.body_of(head, data, ended=bool(self._ended))) is None:
            await self._arrived.wait()
            self._arrived.clear()
            data, self._head = data + self._head, b""
        return body

    async def _more(self) -> None:
        if self._ended:
            raise Closed(self._ended)
        self._arrived.clear()
        await self._arrived.wait()

    def _read(self, data: bytes) -> None:
        assert self._reader is not None
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode == ws.CLOSE:
                    self._end(ws.close_reason(payload))
                    break
                if opcode == ws.PING:
                    with contextlib.suppress(Closed):
                        self._send(ws.PONG, payload)
                elif opcode != ws.PONG:
                    self._messages.append(payload)
        except ws.WebSocketError as error:
            self._end(str(error))
        self._arrived.set()
        if len(self._messages) >= _HIGH and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._ended:
            raise Closed(self._ended)
        key = os.urandom(4)
        if len(payload) < _MASK_IN_C:
            self._write(ws.frame(opcode, payload, key))
        else:
            self._write(ws.frame(opcode, payload, key, _mask_in_c()))

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise Closed(self._ended or "the connection is closed")
        self._transport.write(data)

    def _tick(self) -> None:
        """Sends pings, and closes the connection if the peer is silent for the ping timeout."""
        if self._ended:
            return
        if not self._paused and self._loop.time() - self._heard > self._ping_timeout:
            self._end(f"no answer to pings for {self._ping_timeout:.0f} s")
            self.abort()
            return
        try:
            self._send(ws.PING, b"")
        except Closed:
            return
        self._timer = self._loop.call_later(self._ping_interval, self._tick)

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = reason
            _LOG.debug("WebSocket ended: %s", reason)
        self._arrived.set()
        self._room.set()
        if self._timer:
            self._timer.cancel()
        if self._transport and not self._transport.is_closing():
            self._transport.close()


def _mask_in_c() -> ws.Mask:
    """The masking function of `websockets`, if its C extension is installed."""
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        return ws.mask_by_number
    mask: ws.Mask = apply_mask
    return mask
