"""gRPC calls to a daemon, straight on a connection's bytes; here we are HTTP/2's client (h2, sans I/O).

A library's channel wants a socket: the bytes of a tunnel would go through one more, and start and imports would take
a tenth of a cached build. Rules:

* One loop, no threads: one task reads, one writes; what is called in one turn of the loop leaves in one piece, without
  waiting for the daemon's settings.
* Streams take turns with pieces of at most `_PIECE` bytes, so that no call waits behind a context.
* What waits to be sent is bounded (`_HIGH`), and so is what the daemon may send unread (the windows).

Reference: gRPC over HTTP2 (grpc/doc/PROTOCOL-HTTP2.md), RFC 9113.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.frame_buffer
import h2.settings

from buildclient.base.errors import UnreachableError
from buildclient.base.streams import Connection
from buildclient.daemon.rpcerror import CODES, RpcError
from buildclient.session.dataframes import Data, DataFrames, GoAway, Outgoing
from buildclient.session.flow import WINDOW, Inbox, Receiving, send_data
from buildclient.session.wire import PREFIX, GrpcReader, WireError

__all__ = ["Channel", "Stream"]

_HEADERS_SIZE = 16 << 20
"""Bytes of one answer's headers: an error's details are there, with the Dockerfile. Go allows as many."""
_LARGEST_FRAME = 16384
_MAX_MESSAGE = 256 << 20
"""Bytes of an answer: lists of large caches and histories; more is no answer."""
_HIGH = 1 << 20
"""Bytes of one call that may wait to be sent."""
_PIECE = 128 << 10
"""Bytes passed to the connection at a time."""
_SMALL = 4096
"""Bytes of a piece that is small: of these, many may come one by one, such as questions for the files of a context."""
_OFTEN, _OFTEN_SECONDS = 32, 0.1
"""So many small pieces within so many seconds are often."""
_LINGER = 0.003
"""Seconds to leave small pieces unread that come often, so that several are taken at a time."""
_CLOSE_GRACE = 0.5
"""Seconds for what is due to be sent before the connection is closed."""
_DETAILS = b"grpc-status-details-bin"

# h2 takes 64 pieces of headers, which are 1 MiB; what they may come to is limited by `_HEADERS_SIZE`.
h2.frame_buffer.CONTINUATION_BACKLOG = _HEADERS_SIZE // _LARGEST_FRAME

_BY_RESET = {
    h2.errors.ErrorCodes.REFUSED_STREAM: "Unavailable",
    h2.errors.ErrorCodes.CANCEL: "Canceled",
    h2.errors.ErrorCodes.ENHANCE_YOUR_CALM: "ResourceExhausted",
    h2.errors.ErrorCodes.INADEQUATE_SECURITY: "PermissionDenied",
}
"""The codes of calls whose stream is reset, after gRPC's document; any other is Internal."""
_BY_HTTP = {
    b"400": "Internal", b"401": "Unauthenticated", b"403": "PermissionDenied", b"404": "Unimplemented",
    b"429": "Unavailable", b"502": "Unavailable", b"503": "Unavailable", b"504": "Unavailable",
}  # fmt: skip
"""The codes of answers that are not gRPC's, by HTTP's status."""
_T = TypeVar("_T")


class Stream:
    """One call."""

    def __init__(self, channel: Channel, number: int, receiving: Receiving) -> None:
        self.number = number
        self.out = Outgoing()
        self.last = False
        """Whether nothing follows what waits to be sent."""
        self.turn = 0
        """When bytes of it were last sent, counted in turns of all calls."""
        self.inbox = Inbox(number, receiving, GrpcReader(_MAX_MESSAGE))
        self.error: RpcError | None = None
        self.ended = False
        """Whether the daemon's answer is whole, or `error` says why not."""
        self._channel = channel
        self._room = asyncio.Event()
        self._room.set()

    async def write(self, *parts: bytes | memoryview) -> None:
        """Sends one message; waits while too much is to be sent. Raises RpcError once the call has ended."""
        if self.ended:
            raise self.error or RpcError("Unknown", "the daemon ended the call")
        self.out.add(PREFIX.pack(0, sum(map(len, parts))), *parts)
        self._channel.wake()
        if self.out.size >= _HIGH:
            self._room.clear()
            await self._room.wait()

    async def read(self) -> bytes | None:
        """Returns the next message; None after the last. Raises RpcError."""
        while not self.inbox and not self.ended:
            await self.inbox.more()
        if self.inbox:
            return self.inbox.take()
        if self.error is not None:
            raise self.error
        return None

    def cancel(self) -> None:
        """Gives the call up, if it has not ended."""
        self._channel.cancel(self)

    def end(self, error: RpcError | None) -> None:
        """Ends the call, with an error or because the answer is whole; what comes first counts."""
        if self.ended:
            return
        if error is None and self.inbox.partial:
            error = RpcError("Internal", "the daemon's answer ends inside a message")
        self.ended, self.error = True, error
        self.inbox.close()
        self.inbox.wake()
        self._room.set()

    def sent(self) -> None:
        """Notes that bytes have left."""
        if self.out.size < _HIGH:
            self._room.set()


class Channel:
    """Calls over one connection, many at once. `close` ends them and the connection."""

    def __init__(self, connection: Connection, authority: str) -> None:
        """Takes over `connection`; `authority` names the daemon in each call."""
        self._connection = connection
        self._authority = authority
        self._streams: dict[int, Stream] = {}
        self._frames = DataFrames(of_client=False)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._broken: RpcError | None = None
        self._leaving = ""
        self._turns = 0
        self.error: UnreachableError | None = None
        """Why the connection broke."""
        self.heard = 0
        """How many pieces have come from the daemon."""
        config = h2.config.H2Configuration(
            client_side=True, header_encoding=None, validate_inbound_headers=False, validate_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        wanted = {
            codes.ENABLE_PUSH: 0,
            codes.INITIAL_WINDOW_SIZE: WINDOW,
            codes.MAX_FRAME_SIZE: _LARGEST_FRAME,
            codes.MAX_HEADER_LIST_SIZE: _HEADERS_SIZE,
        }
        self._h2.local_settings = h2.settings.Settings(client=True, initial_values=wanted)
        self._h2.decoder.max_header_list_size = _HEADERS_SIZE
        self._h2.initiate_connection()
        self._receiving = Receiving(self._h2, self.wake)
        self._tasks = [asyncio.ensure_future(work) for work in (self._read(), self._write())]
        self.wake()

    @property
    def answers(self) -> bool | None:
        """Whether the way to the daemon has answered lately; None where that is not known."""
        return self._connection.answers

    def open(self, method: str, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()) -> Stream:
        """Begins a call of `/package.Service/Method`; `timeout` in seconds is told to the daemon. Raises RpcError."""
        if self._broken is not None or self._leaving:
            raise self._broken or RpcError("Unavailable", self._leaving)
        headers = [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()),
            (b":authority", self._authority.encode()), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
            (b"user-agent", b"buildclient"),
        ]  # fmt: skip
        if timeout is not None:
            headers.append((b"grpc-timeout", b"%dm" % min(99_999_999, max(1, round(timeout * 1000)))))
        headers += [(name.lower().encode(), value.encode(errors="surrogateescape")) for name, value in metadata]
        number = self._h2.get_next_available_stream_id()
        try:
            self._h2.send_headers(number, headers)
        except h2.exceptions.ProtocolError as error:
            raise RpcError("Unavailable", f"no more calls over this connection: {error}") from None
        stream = self._streams[number] = Stream(self, number, self._receiving)
        self.wake()
        return stream

    async def unary(
        self, method: str, request: bytes, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """Returns the answer to a request, both serialized. `timeout` in seconds. Raises RpcError."""
        found: bytes | None = None
        async for message in self.answered(method, request, timeout, metadata):
            found = message
        if found is None:
            raise RpcError("Internal", "the daemon's answer is empty")
        return found

    async def answered(
        self, method: str, request: bytes, timeout: float | None = None, metadata: Iterable[tuple[str, str]] = ()
    ) -> AsyncGenerator[bytes, None]:
        """Returns all answers to a request, serialized. `timeout` in seconds is for the whole call. Raises RpcError."""
        stream = self.open(method, timeout, metadata)
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        try:
            stream.last = True
            await _until(until, stream.write(request))
            while (message := await _until(until, stream.read())) is not None:
                yield message
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Ends every call and the connection; may be called twice."""
        try:
            if self._broken is None:
                # That calls were given up is told, where the connection takes it at once.
                self.wake()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_GRACE):
                        await self._idle.wait()
        finally:
            self._break(RpcError("Canceled", "the channel is closed"))
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._connection.close()

    def wake(self) -> None:
        """Wakes the writer: there is something to send."""
        self._idle.clear()
        self._wake.set()

    def cancel(self, stream: Stream) -> None:
        """Resets a call's stream, unless it has ended."""
        if stream.number in self._streams:
            self._end(stream, RpcError("Canceled", "the client ended the call"), reset=True)
            self.wake()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        lately: deque[float] = deque([-1.0] * _OFTEN, maxlen=_OFTEN)
        lingered = 0.0
        try:
            while data := await self._connection.read():
                self.heard += 1
                self._receive(data)
                if len(data) < _SMALL:
                    now = loop.time()
                    lately.append(now)
                    # What had come meanwhile is taken at once.
                    if now - lately[0] < _OFTEN_SECONDS and now - lingered > _LINGER / 4:
                        await asyncio.sleep(_LINGER)
                        lingered = loop.time()
        except UnreachableError as error:
            self.error = error
            self._break(RpcError("Unavailable", error.message))
        except Exception as error:
            # WireError, ProtocolError, and whatever else h2 makes of wrong bytes.
            self._break(RpcError("Unavailable", f"the daemon's stream is broken: {error or type(error).__name__}"))
        else:
            self._break(RpcError("Unavailable", "the connection was closed"))

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while piece := self._collect():
                    await self._connection.write(piece)
                self._idle.set()
        except UnreachableError as error:
            self.error = self.error or error
            self._break(RpcError("Unavailable", error.message))
        except Exception as error:
            # Nothing is sent any more: whoever waits for that would wait for ever.
            self._break(RpcError("Unavailable", f"cannot send: {error or type(error).__name__}"))
        finally:
            self._idle.set()

    def _receive(self, data: bytes) -> None:
        """Takes bytes of the daemon. Raises WireError, ProtocolError."""
        for part in self._frames.feed(data):
            if isinstance(part, GoAway):
                self._leave(part)
            elif not isinstance(part, Data):
                self._take(part)
            elif (stream := self._streams.get(part.stream)) is None:
                # Of a call that was given up, or of none: h2 knows.
                self._take(part.frame)
            elif stream.inbox.took(len(part.payload)):
                self._feed(stream, stream.inbox.feed_plain, part.payload)
            else:
                raise WireError("it sent more than it may")
        self.wake()

    def _take(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            action = _ON.get(type(event))
            if action:
                action(self, event)

    def _feed(self, stream: Stream, feed: Callable[..., None], *arguments: Any) -> None:
        try:
            feed(*arguments)
        except WireError as error:
            self._end(stream, RpcError("Internal", str(error)), reset=True)

    def _collect(self) -> bytes:
        """Returns the next piece: control frames, and each stream's share, in turn."""
        budget = _PIECE
        pieces: list[bytes | memoryview] = []
        # Who has waited the longest is first: a new call, and a session's Health beside another one's context.
        for stream in sorted(self._streams.values(), key=lambda one: one.turn):
            try:
                if stream.out.size and (moved := send_data(self._h2, stream.number, stream.out, budget, pieces)):
                    budget -= moved
                    self._turns += 1
                    stream.turn = self._turns
                    stream.sent()
                if stream.last and not stream.out.size:
                    stream.last = False
                    self._h2.end_stream(stream.number)
            except h2.exceptions.ProtocolError:
                continue
            if budget <= 0:
                self.wake()
                break
        return b"".join([*pieces, self._h2.data_to_send(), self._receiving.updates()])

    def _leave(self, told: GoAway) -> None:
        """Takes no more calls: the daemon ends. Those that it has taken go on (RFC 9113, 6.8)."""
        said = f": {told.text}" if told.text else ""
        self._leaving = f"the daemon is ending{said}"
        for stream in [one for number, one in self._streams.items() if number > told.last]:
            self._end(stream, RpcError("Unavailable", self._leaving))

    def _break(self, error: RpcError) -> None:
        """Ends every call: the connection is gone."""
        self._broken = self._broken or error
        for stream in list(self._streams.values()):
            self._end(stream, error)

    def _end(self, stream: Stream, error: RpcError | None, *, reset: bool = False) -> None:
        self._streams.pop(stream.number, None)
        stream.end(error)
        if reset:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.reset_stream(stream.number, h2.errors.ErrorCodes.CANCEL)

    def _on_answer(self, event: h2.events.ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        headers = dict(event.headers or ())
        http = headers.get(b":status", b"")
        if stream is None:
            return
        if b"grpc-status" in headers:
            self._end(stream, _status(headers))
        elif http != b"200":
            text = f"the answer is not gRPC's: HTTP status {http.decode(errors='replace')}"
            self._end(stream, RpcError(_BY_HTTP.get(http, "Unknown"), text), reset=True)

    def _on_trailers(self, event: h2.events.TrailersReceived) -> None:
        if stream := self._streams.get(event.stream_id or 0):
            self._end(stream, _status(dict(event.headers or ())))

    def _on_data(self, event: h2.events.DataReceived) -> None:
        flow = event.flow_controlled_length or 0
        if stream := self._streams.get(event.stream_id or 0):
            self._feed(stream, stream.inbox.feed, event.data or b"", flow)
        else:
            self._receiving.acknowledge(event.stream_id or 0, flow)

    def _on_end(self, event: h2.events.StreamEnded) -> None:
        if stream := self._streams.get(event.stream_id or 0):
            self._end(stream, RpcError("Internal", "the daemon's answer has no status"))

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        if stream := self._streams.get(event.stream_id or 0):
            name = event.error_code.name if isinstance(event.error_code, h2.errors.ErrorCodes) else event.error_code
            self._end(stream, RpcError(_BY_RESET.get(event.error_code, "Internal"), f"the call was reset: {name}"))  # type: ignore[call-overload]


_ON: dict[type, Callable[..., None]] = {
    h2.events.ResponseReceived: Channel._on_answer,
    h2.events.TrailersReceived: Channel._on_trailers,
    h2.events.DataReceived: Channel._on_data,
    h2.events.StreamEnded: Channel._on_end,
    h2.events.StreamReset: Channel._on_reset,
}


async def _until(deadline: float | None, work: Awaitable[_T]) -> _T:
    """Returns what `work` gives. Raises RpcError at the deadline, on the loop's clock."""
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise RpcError("DeadlineExceeded", "Deadline Exceeded") from None


def _status(headers: dict[bytes, bytes]) -> RpcError | None:
    """Returns the error that trailers tell; None for OK."""
    text = headers.get(b"grpc-status", b"")
    number = int(text) if text.isdigit() and len(text) < 4 else 2
    if number == 0:
        return None
    message = unquote(headers.get(b"grpc-message", b"").decode(errors="replace"), errors="replace")
    code = CODES[number] if number < len(CODES) else f"Code({number})"
    return RpcError(code, message, _binary(headers.get(_DETAILS)))


def _binary(value: bytes | None) -> bytes | None:
    """Decodes a `-bin` header, whose base64 has no padding."""
    if value is None:
        return None
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return b""
