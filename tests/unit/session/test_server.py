"""The session's server, driven in memory by an HTTP/2 client as the daemon is one; no sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from buildclient.session.call import Call, Code, Service, Status
from buildclient.session.health import health
from buildclient.session.server import SessionServer
from buildclient.session.wire import GrpcReader, WireError, frame
from tests.load import busy, until

HEALTH = "/grpc.health.v1.Health/Check"


class Daemon:
    """The client's end: opens calls, keeps what comes, may be told to read slowly."""

    def __init__(self, handlers: Service, window: int = 1 << 20) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.server = SessionServer(handlers, self._take)
        self.messages: dict[int, list[bytes]] = {}
        self.trailers: dict[int, dict[str, str]] = {}
        self.raw = False
        """Whether messages are kept as they come, in pieces and with their heads."""
        self.pieces: list[int] = []
        self.order: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._readers: dict[int, GrpcReader] = {}
        self._news = asyncio.Event()

    async def _take(self, data: bytes) -> None:
        await self.gate.wait()
        self.pieces.append(len(data))
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.order.append(event.stream_id)
                feed = self._readers[event.stream_id].feed
                self.messages[event.stream_id] += [event.data] if self.raw else list(feed(event.data))
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived | h2.events.ResponseReceived):
                self.trailers.setdefault(event.stream_id, {}).update(dict(event.headers))
        self.flush()
        self._news.set()

    def flush(self) -> None:
        """Hands what is queued to the server."""
        if data := self.h2.data_to_send():
            self.server.receive(data)

    def call(self, method: str, *messages: bytes, half_close: bool = True, **headers: str) -> int:
        """Begins a call; gives its stream."""
        stream = self.h2.get_next_available_stream_id()
        base = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost")]
        extra = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(stream, [*base, ("content-type", "application/grpc"), ("te", "trailers"), *extra])
        self._readers[stream], self.messages[stream] = GrpcReader(), []
        for message in messages:
            self.h2.send_data(stream, frame(message))
        if half_close:
            self.h2.end_stream(stream)
        self.flush()
        return stream

    async def ended(self, stream: int) -> dict[str, str]:
        """The trailers of a call once they have come."""
        async with asyncio.timeout(busy(5)):
            while "grpc-status" not in self.trailers.get(stream, {}):
                self._news.clear()
                await self._news.wait()
        return self.trailers[stream]


@contextlib.asynccontextmanager
async def daemon(handlers: Service, window: int = 1 << 20) -> AsyncIterator[Daemon]:
    """A daemon whose session server runs."""
    one = Daemon(handlers, window)
    running = asyncio.ensure_future(one.server.run())
    one.server.wake()
    one.flush()
    try:
        yield one
    finally:
        await one.server.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def handler(function: Callable[[Call], Awaitable[None]]) -> Service:
    """A table with one method, `/t.T/M`."""
    return {"/t.T/M": function}


async def test_health_is_answered() -> None:
    """The daemon's probe gets SERVING and status OK."""
    async with daemon(health()) as one:
        stream = one.call(HEALTH, b"")
        assert (await one.ended(stream))["grpc-status"] == "0"
        assert one.messages[stream] == [b"\x08\x01"]


async def test_an_unknown_method_is_unimplemented() -> None:
    """A method that is not served ends with UNIMPLEMENTED, which daemons rely on."""
    async with daemon(health()) as one:
        assert (await one.ended(one.call("/no.Such/Method", b"")))["grpc-status"] == str(Code.UNIMPLEMENTED)


async def test_metadata_keeps_every_value_in_order() -> None:
    """Repeated headers arrive as all their values."""
    seen: dict[str, tuple[str, ...]] = {}

    async def take(call: Call) -> None:
        seen.update(call.metadata)

    async with daemon(handler(take)) as one:
        stream = one.h2.get_next_available_stream_id()
        pairs = [(":method", "POST"), (":scheme", "http"), (":path", "/t.T/M"), (":authority", "x")]
        one.h2.send_headers(stream, [*pairs, ("dir-name", "context"), ("followpaths", "b"), ("followpaths", "a")], True)
        one._readers[stream], one.messages[stream] = GrpcReader(), []
        one.flush()
        await one.ended(stream)
    assert seen["followpaths"] == ("b", "a")
    assert seen["dir-name"] == ("context",)


async def test_a_call_may_have_thousands_of_patterns() -> None:
    """Each line of a .dockerignore is a header of its own."""
    seen: list[int] = []

    async def take(call: Call) -> None:
        seen.append(len(call.metadata["exclude-patterns"]))

    async with daemon(handler(take)) as one:
        await until(lambda: one.h2.remote_settings.max_header_list_size == 4 << 20)
        stream = one.h2.get_next_available_stream_id()
        pairs = [(":method", "POST"), (":scheme", "http"), (":path", "/t.T/M"), (":authority", "x")]
        patterns = [("exclude-patterns", f"some/folder/number-{number}/*.log") for number in range(10_000)]
        one.h2.send_headers(stream, [*pairs, *patterns], True)
        one._readers[stream], one.messages[stream] = GrpcReader(), []
        one.flush()
        await one.ended(stream)
    assert seen == [10_000]


async def test_errors_of_handlers_are_statuses() -> None:
    """A raised Status is the call's, any other exception is INTERNAL with its text."""

    async def refuse(call: Call) -> None:
        raise Status(Code.NOT_FOUND, "no dir „x“")

    async def fail(call: Call) -> None:
        raise ValueError("broken")

    async with daemon({"/t.T/M": refuse, "/t.T/F": fail}) as one:
        refused = await one.ended(one.call("/t.T/M", b""))
        assert refused["grpc-status"] == "5"
        assert "%E2%80%9E" in refused["grpc-message"]
        failed = await one.ended(one.call("/t.T/F", b""))
        assert (failed["grpc-status"], failed["grpc-message"]) == ("13", "ValueError: broken")


async def test_many_small_messages_leave_in_few_pieces() -> None:
    """Ten thousand messages of a context are packed together."""
    many = [b"%05d" % number for number in range(10_000)]

    async def send(call: Call) -> None:
        await call.write_batch(many)

    async with daemon(handler(send)) as one:
        stream = one.call("/t.T/M", b"")
        await one.ended(stream)
        assert one.messages[stream] == many
        assert len(one.pieces) < 20


async def test_health_does_not_wait_behind_a_context() -> None:
    """While one call has megabytes to send, a probe is answered within the next piece or two."""

    async def flood(call: Call) -> None:
        for _ in range(64):
            await call.write(bytes(256 << 10))

    async with daemon({**health(), **handler(flood)}, window=64 << 20) as one:
        one.h2.increment_flow_control_window(64 << 20)
        one.flush()
        one.gate.clear()
        one.call("/t.T/M", b"")
        await asyncio.sleep(0.05)
        before = len(one.pieces)
        probe = one.call(HEALTH, b"")
        one.gate.set()
        await one.ended(probe)
        assert len(one.pieces) - before <= 4


async def test_a_slow_daemon_slows_the_handler() -> None:
    """What a handler may write ahead is bounded while nothing is taken."""
    written = 0

    async def flood(call: Call) -> None:
        nonlocal written
        while True:
            await call.write(bytes(64 << 10))
            written += 64 << 10

    async with daemon(handler(flood)) as one:
        one.gate.clear()
        one.call("/t.T/M", b"")
        await asyncio.sleep(0.05)
        assert written <= 2 << 20


async def test_the_daemon_may_send_more_than_the_default_window() -> None:
    """Two megabytes arrive unread: the window was really made larger than HTTP/2's 64 KiB."""
    got: list[bytes] = []

    async def collect(call: Call) -> None:
        while (message := await call.read()) is not None:
            got.append(message)

    async with daemon(handler(collect)) as one:
        stream = one.call("/t.T/M", half_close=False)
        await until(lambda: one.h2.local_flow_control_window(stream) > 3 << 20)
        sent = 0
        while sent < 2 << 20:
            room = min(16384, one.h2.local_flow_control_window(stream))
            assert room > 5, f"stuck after {sent} bytes"
            one.h2.send_data(stream, frame(bytes(room - 5)))
            one.flush()
            sent += room
        one.h2.end_stream(stream)
        one.flush()
        await one.ended(stream)
    assert sum(map(len, got)) == sent - 5 * len(got)


async def test_messages_that_have_come_in_part_use_up_no_window() -> None:
    """The beginnings of blobs that come side by side are more than the connection's window, and yet they end."""
    lengths = []

    async def serve(call: Call) -> None:
        lengths.append(len(await call.read() or b""))

    message, half = frame(bytes(1 << 20)), 1 << 19
    async with daemon(handler(serve)) as one:
        streams = [one.call("/t.T/M", half_close=False) for _ in range(20)]
        for part in (message[:half], message[half:]):
            for stream in streams:
                left = memoryview(part)
                async with asyncio.timeout(busy(5)):
                    while left:
                        size = min(one.h2.local_flow_control_window(stream), one.h2.max_outbound_frame_size, len(left))
                        if size:
                            one.h2.send_data(stream, bytes(left[:size]))
                            one.flush()
                            left = left[size:]
                        await asyncio.sleep(0)
        for stream in streams:
            one.h2.end_stream(stream)
        one.flush()
        for stream in streams:
            await one.ended(stream)
    assert lengths == [1 << 20] * 20


async def test_a_stream_cut_inside_a_message_is_an_error() -> None:
    """A half-close in the middle of a message is INTERNAL, never a clean end."""

    async def drain(call: Call) -> None:
        while await call.read() is not None:
            pass

    async with daemon(handler(drain)) as one:
        stream = one.call("/t.T/M", half_close=False)
        one.h2.send_data(stream, frame(b"whole") + b"\0\0\0\0\x09half", end_stream=True)
        one.flush()
        assert (await one.ended(stream))["grpc-status"] == str(Code.INTERNAL)


async def test_a_reset_ends_the_handler() -> None:
    """When the daemon gives up a call, its handler is cancelled and the others go on."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with daemon({**health(), **handler(wait)}) as one:
        stream = one.call("/t.T/M", half_close=False)
        await asyncio.wait_for(begun.wait(), 20)
        one.h2.reset_stream(stream)
        one.flush()
        await asyncio.wait_for(cancelled.wait(), 20)
        assert (await one.ended(one.call(HEALTH, b"")))["grpc-status"] == "0"


async def test_closing_ends_every_handler() -> None:
    """Close waits for the handlers, which see a cancellation."""
    begun: list[str] = []
    ended: list[str] = []

    async def wait(call: Call) -> None:
        try:
            await call.read_batch()
            begun.append("begun")
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async with daemon(handler(wait)) as one:
        for _ in range(3):
            one.call("/t.T/M", b"x")
        await until(lambda: len(begun) == 3)
    assert ended == ["cancelled"] * 3


async def test_bytes_that_are_no_http2_are_an_error() -> None:
    """A broken stream is said to be broken."""
    from buildclient.session.wire import WireError

    async with daemon(health()) as one:
        with pytest.raises(WireError, match="broken"):
            one.server.receive(b"\0\0\1\4\0\0\0\0\0x")  # SETTINGS of an impossible length


@pytest.mark.parametrize("reset", [False, True])
async def test_what_ended_calls_left_unread_uses_up_no_window(reset: bool) -> None:
    """Of a handler that failed, and of a call that the daemon gave up: all calls share the connection's window."""

    async def refuse(call: Call) -> None:
        if reset:
            await asyncio.sleep(60)
        raise Status(Code.UNKNOWN, "no")

    async with daemon({**health(), **handler(refuse)}) as one:
        await one.ended(one.call(HEALTH, b""))
        for _ in range(400):
            stream = one.call("/t.T/M", b"x" * 16_000, half_close=not reset)
            await asyncio.sleep(0)
            if reset:
                one.h2.reset_stream(stream)
                one.flush()
            else:
                await one.ended(stream)
        # Four megabytes at first, and more than that was sent.
        assert (await one.ended(one.call(HEALTH, b"")))["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("method", "accepts", "packed"),
    [
        ("/moby.filesync.v1.FileSync/DiffCopy", "identity, gzip", True),
        ("/moby.filesync.v1.FileSync/DiffCopy", "identity", False),
        ("/moby.secrets.v1.Secrets/GetSecret", "gzip", False),
    ],
)
async def test_a_context_is_compressed_for_a_daemon_far_away(
    method: str, accepts: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what a context sends, and only to a daemon that accepts it."""
    monkeypatch.setattr(SessionServer, "latency", 0.03)
    text = b"a line of text\n" * 1000

    async def lines(call: Call) -> None:
        await call.write_batch([text])

    async with daemon({method: lines}) as far:
        far.raw = True
        stream = far.call(method, grpc_accept_encoding=accepts)
        headers = await far.ended(stream)
    assert headers.get("grpc-encoding") == ("gzip" if method.endswith("DiffCopy") and packed else None)
    data = b"".join(far.messages[stream])
    assert (data[0], len(data) < len(text) / 2) == (packed, packed)
    assert (far.server.compressed == len(text)) is packed


async def _begun(handler: Callable[[Call], Awaitable[None]]) -> tuple[Daemon, asyncio.Task[None]]:
    """A daemon that has a call open and knows the windows; what runs the server."""
    daemon = Daemon({"/x/Y": handler})
    task = asyncio.create_task(daemon.server.run())
    stream = daemon.call("/x/Y", half_close=False)
    await until(lambda: daemon.h2.local_flow_control_window(stream) > 1 << 20)
    return daemon, task


def _data(size: int) -> bytes:
    """A DATA frame of stream 1."""
    return size.to_bytes(3, "big") + b"\0\0" + (1).to_bytes(4, "big") + bytes(size)


async def test_a_large_result_keeps_both_windows_open() -> None:
    """Several times what the windows hold, as frames that h2 does not see; its own count of them stays right."""
    got = 0

    async def handler(call: Call) -> None:
        nonlocal got
        while messages := await call.read_batch():
            got += sum(map(len, messages))

    daemon, task = await _begun(handler)
    sent, message = 0, frame(bytes(60_000))
    while sent < 20 << 20:
        at = 0
        while at < len(message):
            room = min(daemon.h2.local_flow_control_window(1), 16384, len(message) - at)
            if room:
                daemon.h2.send_data(1, message[at : at + room])
                at += room
            daemon.flush()
            await asyncio.sleep(0)
        sent += 60_000
    daemon.h2.end_stream(1)
    daemon.flush()
    assert (await daemon.ended(1))["grpc-status"] == "0"
    assert got == sent
    task.cancel()


async def test_a_daemon_that_sends_more_than_it_may_is_refused() -> None:
    """The window bounds what a session holds in memory."""

    async def handler(call: Call) -> None:
        await asyncio.sleep(60)

    daemon, task = await _begun(handler)

    def flood() -> None:
        for _ in range(300):
            daemon.server.receive(_data(16384))

    with pytest.raises(WireError, match="more than it may"):
        flood()
    task.cancel()
    await daemon.server.close()
