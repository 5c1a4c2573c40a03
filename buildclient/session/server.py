"""Serves the session's gRPC services straight on the bytes of a `Control.Session` stream.

The daemon is the HTTP/2 client inside that stream, we are the server (h2, sans I/O). Rules:

* One loop, no threads: `receive` takes what arrived, one writer task sends what is due.
* Many small messages leave in one DATA frame and one piece of at most `_PIECE` bytes, and streams take turns,
  so that an answer to Health never waits behind more than one piece.
* What handlers write is bounded (`_HIGH`), and so is what the daemon may send unread (the windows).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from buildclient.session.call import Code, Handler, Status
from buildclient.session.compression import ENCODING, Compression, Drain
from buildclient.session.dataframes import Data, DataFrames, GoAway, Outgoing
from buildclient.session.flow import WINDOW, Inbox, Receiving, send_data
from buildclient.session.wire import GrpcReader, WireError, frame, frames, percent_encode

__all__ = ["SessionServer"]

_LOG = logging.getLogger("buildclient.session")
_HEADERS_SIZE = 4 << 20
"""Bytes of one call's headers: each .dockerignore pattern is one, perhaps thousands (Go allows 16 MiB)."""
_HIGH = 1 << 20
"""Bytes of one call's answers that may wait to be sent."""
_PIECE = 128 << 10
"""Bytes passed to the transport at a time."""

_COMPRESSED = frozenset(("/moby.filesync.v1.FileSync/DiffCopy",))
"""Methods whose answers may be compressed: contexts. Blobs of the content store are compressed as they are."""

_HEALTH = "/grpc.health.v1.Health/"
"""Called every five seconds, too often for the log."""

Send = Callable[[bytes], Awaitable[None]]


class _Call:
    """One stream of the session; implements `buildclient.session.call.Call`."""

    def __init__(
        self, server: SessionServer, stream: int, method: str, metadata: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.method = method
        self.metadata = metadata
        self.stream = stream
        self.task: asyncio.Task[None] | None = None
        self.out = Outgoing()
        self.trailers: list[tuple[str, str]] | None = None
        self.headers_sent = False
        self._server = server
        self.inbox = Inbox(stream, server.receiving, GrpcReader())
        self._half_closed = False
        self._room = asyncio.Event()
        self._room.set()
        self.gone = False
        self.compression = Compression(Drain(server.latency)) if _accepts(method, metadata) else None
        self._turn = asyncio.Lock()

    def half_close(self) -> None:
        self._half_closed = True
        self.inbox.wake()

    def end(self) -> None:
        """Marks the stream as ended and wakes everyone who waits on it."""
        self.gone = True
        self.inbox.close()
        self.inbox.wake()
        self._room.set()
        if self.task:
            self.task.cancel()

    async def read(self) -> bytes | None:
        await self._wait()
        return self.inbox.take() if self.inbox else None

    async def read_batch(self) -> list[bytes]:
        await self._wait()
        return self.inbox.take_all()

    async def write(self, *parts: bytes | memoryview) -> None:
        await self._put(frame(*parts))

    async def write_batch(self, messages: Iterable[bytes]) -> None:
        listed = list(messages)
        packing = self.compression
        if packing is None or not packing.pays:
            await self._put(frames(listed))
            return
        async with self._turn:
            data = await asyncio.to_thread(packing.frames, listed)
        await self._put(data)

    def sent(self, size: int) -> None:
        """Notes that `size` bytes were sent."""
        if self.compression is not None:
            self.compression.drain.took(size, self.out.size)
        if self.out.size < _HIGH:
            self._room.set()

    async def _wait(self) -> None:
        while not self.inbox and not self._half_closed:
            if self.gone:
                raise Status(Code.CANCELLED, "the daemon ended the call")
            await self.inbox.more()
        if not self.inbox and self.inbox.partial:
            raise Status(Code.INTERNAL, "the daemon's stream ends inside a message")

    async def _put(self, data: bytes) -> None:
        if self.gone:
            raise Status(Code.CANCELLED, "the daemon ended the call")
        self.out.add(data)
        self._server.wake()
        if self.out.size >= _HIGH:
            self._room.clear()
            await self._room.wait()


class SessionServer:
    """The server side of one session."""

    def __init__(self, methods: Mapping[str, Handler], send: Send) -> None:
        """Serves `methods`; `send` takes bytes for the daemon and waits while too much is in flight."""
        self._methods = dict(methods)
        self._send = send
        self._wake = asyncio.Event()
        self._began = time.monotonic()
        self._latency: float | None = None
        self._calls: dict[int, _Call] = {}
        self._frames = DataFrames()
        self._agreed = False
        self.compressed = 0
        """Bytes that calls which have ended sent compressed, before that."""
        self.compressed_to = 0
        """The same bytes as they were sent."""
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_inbound_headers=False, validate_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        # Set before the preface is queued, the window would never reach the peer.
        codes = h2.settings.SettingCodes
        self._h2.update_settings({codes.INITIAL_WINDOW_SIZE: WINDOW, codes.MAX_HEADER_LIST_SIZE: _HEADERS_SIZE})
        self.receiving = Receiving(self._h2, self.wake)
        """What the daemon may send, on all streams."""

    def wake(self) -> None:
        """Wakes the writer: there is something to send."""
        self._wake.set()

    @property
    def latency(self) -> float:
        """Seconds from the session's beginning to the daemon's first word."""
        return self._latency or 0.0

    def receive(self, data: bytes) -> None:
        """Takes bytes from the daemon. Raises WireError for invalid HTTP/2."""
        if self._latency is None:
            self._latency = time.monotonic() - self._began
        for part in self._frames.feed(data):
            if not isinstance(part, Data):
                self._receive(part.frame if isinstance(part, GoAway) else part)
            elif (call := self._calls.get(part.stream)) is None or call.gone or not self._agreed:
                self._receive(part.frame)
            elif call.inbox.took(len(part.payload)):
                call.inbox.feed_plain(part.payload)
            else:
                raise WireError("the session's stream is broken: the daemon sent more than it may")
        self.wake()

    def _receive(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            raise WireError(f"the session's stream is broken: {error}") from None
        for event in events:
            action = _ON.get(type(event))
            if action:
                action(self, event)

    async def run(self) -> None:
        """Sends what is due until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while piece := self._collect():
                await self._send(piece)
                # `send` returns at once while the transport has room; let the handlers run too.
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Ends every call and waits for their handlers."""
        tasks = [call.task for call in self._calls.values() if call.task]
        for call in list(self._calls.values()):
            call.end()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def _collect(self) -> bytes:
        """Returns the next piece: control frames, and each stream's share, in turn."""
        budget = _PIECE
        pieces: list[bytes | memoryview] = []
        # Shortest queue first, so that Health is not stuck behind a context.
        for call in sorted(self._calls.values(), key=lambda call: call.out.size):
            if call.gone:
                continue
            try:
                budget -= self._push(call, budget, pieces)
            except h2.exceptions.StreamClosedError:
                self._drop(call)
            if budget <= 0:
                self._wake.set()
                break
        return b"".join([*pieces, self._h2.data_to_send(), self.receiving.updates()])

    def _push(self, call: _Call, budget: int, pieces: list[bytes | memoryview]) -> int:
        """Moves a call's bytes into frames, as far as the peer's windows and the budget allow."""
        connection = self._h2
        if (call.out.size or call.trailers) and not call.headers_sent:
            if call.trailers and not call.out.size:
                connection.send_headers(call.stream, [*_HEADERS, *call.trailers], end_stream=True)
                self._drop(call)
                return 0
            connection.send_headers(call.stream, _HEADERS if call.compression is None else _HEADERS_OF_COMPRESSED)
            call.headers_sent = True
        moved = 0
        if call.out.size:
            moved = send_data(connection, call.stream, call.out, budget, pieces)
            call.sent(moved)
        if call.trailers and not call.out.size:
            connection.send_headers(call.stream, call.trailers, end_stream=True)
            self._drop(call)
        return moved

    def _drop(self, call: _Call) -> None:
        call.gone = True
        call.inbox.close()
        if call.compression is not None:
            self.compressed += call.compression.plain
            self.compressed_to += call.compression.sent
        self._calls.pop(call.stream, None)

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        headers: dict[str, tuple[str, ...]] = {}
        for name, value in event.headers or ():
            headers[str(name)] = (*headers.get(str(name), ()), str(value))
        method = headers.get(":path", ("",))[0]
        call = _Call(self, event.stream_id or 0, method, headers)
        self._calls[call.stream] = call
        handler = self._methods.get(method, _unimplemented)
        if not method.startswith(_HEALTH):
            _LOG.debug("the daemon calls %s", method)
        call.task = asyncio.get_running_loop().create_task(self._serve(call, handler))

    def _on_data(self, event: h2.events.DataReceived) -> None:
        call = self._calls.get(event.stream_id or 0)
        flow = event.flow_controlled_length or 0
        if call is None:
            # The handler has ended; late data must not use up the connection's window.
            self._h2.acknowledge_received_data(flow, event.stream_id or 0)
            return
        call.inbox.feed(event.data or b"", flow)

    def _on_end(self, event: h2.events.StreamEnded) -> None:
        if call := self._calls.get(event.stream_id or 0):
            call.half_close()

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        if call := self._calls.pop(event.stream_id or 0, None):
            call.end()

    def _on_agreed(self, _: h2.events.Event) -> None:
        """The daemon knows our windows."""
        self._agreed = True

    def _on_window(self, _: h2.events.Event) -> None:
        self.wake()

    async def _serve(self, call: _Call, handler: Handler) -> None:
        code, message = Code.OK, ""
        try:
            await handler(call)
        except Status as status:
            code, message = status.code, status.message
        except asyncio.CancelledError:
            if call.gone:
                return
            code, message = Code.CANCELLED, "the client ended the build"
        except Exception as error:
            code, message = Code.INTERNAL, f"{type(error).__name__}: {error}"
        if code != Code.OK or not call.method.startswith(_HEALTH):
            _LOG.debug("%s: status %d%s", call.method, code, f" ({message})" if message else "")
        call.trailers = [("grpc-status", str(code))]
        if message:
            call.trailers.append(("grpc-message", percent_encode(message)))
        self.wake()


async def _unimplemented(call: object) -> None:
    raise Status(Code.UNIMPLEMENTED, "this client does not serve that method")


def _accepts(method: str, metadata: Mapping[str, tuple[str, ...]]) -> bool:
    accepted = ",".join(metadata.get("grpc-accept-encoding", ())).replace(" ", "").split(",")
    return method in _COMPRESSED and ENCODING in accepted


_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
_HEADERS_OF_COMPRESSED = [*_HEADERS, ("grpc-encoding", ENCODING)]
_ON: dict[type[h2.events.Event], Callable[[SessionServer, h2.events.Event], None]] = {
    h2.events.RequestReceived: SessionServer._on_request,  # type: ignore[dict-item]
    h2.events.DataReceived: SessionServer._on_data,  # type: ignore[dict-item]
    h2.events.StreamEnded: SessionServer._on_end,  # type: ignore[dict-item]
    h2.events.StreamReset: SessionServer._on_reset,  # type: ignore[dict-item]
    h2.events.SettingsAcknowledged: SessionServer._on_agreed,
    h2.events.WindowUpdated: SessionServer._on_window,
    h2.events.RemoteSettingsChanged: SessionServer._on_window,
}
