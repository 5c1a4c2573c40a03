"""Calls over a connection: what a library's server makes of them, and what a hostile daemon may do."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.settings
import pytest

from buildclient.base.errors import UnreachableError
from buildclient.contract.address import Unix
from buildclient.daemon.address import AddressEndpoint
from buildclient.daemon.channel import Channel, Stream
from buildclient.daemon.query import server_stream, unary
from buildclient.daemon.rpcerror import RpcError
from buildclient.proto import control_pb2
from buildclient.session.dataframes import Data, DataFrames
from tests.load import busy

_DETAILS = "grpc-status-details-bin"
_MEGABYTE = 1 << 20


class _Server(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers by the last part of the method's name."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.cancelled = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        kind, _, name = details.method.rpartition("/")[2].partition("-")
        make = {
            "Unary": grpc.unary_unary_rpc_method_handler,
            "Many": grpc.unary_stream_rpc_method_handler,
            "Both": grpc.stream_stream_rpc_method_handler,
        }.get(kind)
        return make(getattr(self, f"_{name}")) if make else None

    async def _echo(self, request: bytes, context: Any) -> bytes:
        self.seen = dict(context.invocation_metadata())
        self.seen["left"] = context.time_remaining()
        return request

    async def _fail(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata(((_DETAILS, request),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "none: „here“ 100 %")
        return b""

    async def _wait(self, request: bytes, context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return b""

    async def _count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async def _large(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(16):
            yield bytes(2 * _MEGABYTE)

    async def _mirror(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


@contextlib.asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[_Server, Channel]]:
    limits = [
        ("grpc.absolute_max_metadata_size", 16 << 20), ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]  # fmt: skip
    handler, server = _Server(), grpc.aio.server(options=limits)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{folder}/d")
    await server.start()
    endpoint = AddressEndpoint(Unix(f"{folder}/d"))
    channel = Channel(await endpoint.connect(asyncio.get_running_loop().time() + 10), endpoint.authority)
    try:
        yield handler, channel
    finally:
        await channel.close()
        await server.stop(0)


async def test_a_library_s_server_understands_it(tmp_path: Path) -> None:
    """Messages of any size, metadata, the time that is left; many calls at once."""
    async with _serving(tmp_path) as (server, channel):
        for size in (0, 1, 16384, 5 * _MEGABYTE):
            assert await channel.unary("/s/Unary-echo", bytes(size), 20, [("build-id", "a b")]) == bytes(size)
        assert server.seen["build-id"] == "a b"
        assert 0 < server.seen["left"] <= 20
        assert [one async for one in channel.answered("/s/Many-count", b"300")] == [b"%d" % n for n in range(300)]
        assert sum([len(one) async for one in channel.answered("/s/Many-large", b"")]) == 32 * _MEGABYTE
        every = await asyncio.gather(*(channel.unary("/s/Unary-echo", b"%d" % n) for n in range(200)))
        assert every == [b"%d" % n for n in range(200)]


async def test_both_sides_may_speak_at_once(tmp_path: Path) -> None:
    """More than the windows hold, while another call is answered."""
    async with _serving(tmp_path) as (_, channel):
        stream = channel.open("/s/Both-mirror")

        async def write() -> None:
            for number in range(64):
                await stream.write(b"%03d" % number, bytes(_MEGABYTE // 2))

        writing = asyncio.ensure_future(write())
        assert await channel.unary("/s/Unary-echo", b"beside") == b"beside"
        for number in range(64):
            message = await stream.read()
            assert message is not None
            assert (message[:3], len(message)) == (b"%03d" % number, 3 + _MEGABYTE // 2)
        await writing


async def test_errors_come_with_code_text_and_details(tmp_path: Path) -> None:
    """Two megabytes of details as well: a Dockerfile may be in them several times."""
    async with _serving(tmp_path) as (_, channel):
        for details in (b"\x01\x02\xff", bytes(2 * _MEGABYTE)):
            with pytest.raises(RpcError) as caught:
                await channel.unary("/s/Unary-fail", details)
            error = caught.value
            assert (error.code, error.text, error.status) == ("NotFound", "none: „here“ 100 %", details)
        with pytest.raises(RpcError) as caught:
            await channel.unary("/s/None-echo", b"")
        assert (caught.value.code, caught.value.status) == ("Unimplemented", None)


async def test_who_gives_up_is_known_to_the_server(tmp_path: Path) -> None:
    """By a time limit and by cancelling; the connection serves on."""
    async with _serving(tmp_path) as (server, channel):
        with pytest.raises(RpcError) as caught:
            await channel.unary("/s/Unary-wait", b"", 0.3)
        assert caught.value.code == "DeadlineExceeded"
        await asyncio.wait_for(server.cancelled.wait(), busy(5))
        server.cancelled.clear()
        waiting = asyncio.ensure_future(channel.unary("/s/Unary-wait", b""))
        await channel.unary("/s/Unary-echo", b"")
        waiting.cancel()
        await asyncio.wait_for(server.cancelled.wait(), busy(5))
        assert await channel.unary("/s/Unary-echo", b"still") == b"still"


async def test_a_closed_channel_ends_its_calls(tmp_path: Path) -> None:
    """And takes none."""
    async with _serving(tmp_path) as (_, channel):
        waiting = asyncio.ensure_future(channel.unary("/s/Unary-wait", b""))
        await channel.unary("/s/Unary-echo", b"")
        await channel.close()
        with pytest.raises(RpcError):
            await waiting
        with pytest.raises(RpcError):
            await channel.unary("/s/Unary-echo", b"")


class _Memory:
    """A connection in memory, whose far side is h2's server."""

    answers = None

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes | UnreachableError] = asyncio.Queue()
        self.written = bytearray()
        self.arrived = asyncio.Event()
        self.fault: Exception | None = None
        """What happens to the next bytes."""
        config = h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()

    async def read(self) -> bytes:
        found = await self.incoming.get()
        if isinstance(found, UnreachableError):
            raise found
        return found

    async def write(self, data: bytes | memoryview) -> None:
        if self.fault:
            raise self.fault
        self.h2.receive_data(bytes(data))
        self.written += data
        self.arrived.set()

    async def close_write(self) -> bool:
        return False

    async def close(self) -> None:
        return None

    def says(self, data: bytes = b"") -> None:
        """Sends what h2 has, and then `data`."""
        self.incoming.put_nowait(self.h2.data_to_send() + data)

    def begins(self, stream: int) -> None:
        """The head of an answer."""
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


async def _outcome(hostile: Callable[[_Memory], None]) -> RpcError:
    """The error of a call whose daemon does that."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    call = asyncio.ensure_future(channel.unary("/s/Call", b"request"))
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    await asyncio.sleep(0)
    memory.says()
    hostile(memory)
    try:
        with pytest.raises(RpcError) as caught:
            await asyncio.wait_for(call, busy(10))
    finally:
        await channel.close()
    return caught.value


def _answers(memory: _Memory, payload: bytes, *trailers: tuple[str, str]) -> None:
    memory.begins(1)
    memory.h2.send_data(1, payload)
    memory.h2.send_headers(1, trailers, end_stream=True)
    memory.says()


def _trailers_only(memory: _Memory, *headers: tuple[str, str]) -> None:
    memory.h2.send_headers(1, headers, end_stream=True)
    memory.says()


def _endless_headers(memory: _Memory) -> None:
    for number in range(1100):
        memory.says(_frame(9 if number else 1, 0, 1, bytes(16384)))


_OK = ("grpc-status", "0")
_WRONG: dict[str, tuple[Callable[[_Memory], None], str, str]] = {
    "the connection ends": (lambda m: m.incoming.put_nowait(b""), "Unavailable", "the connection was closed"),
    "the connection breaks": (
        lambda m: m.incoming.put_nowait(UnreachableError("it is cut")), "Unavailable", "it is cut",
    ),
    "headers without an end at once": (
        lambda m: m.says(_frame(1, 0, 1, b"x") + _frame(9, 0, 1, b"x") * 1100),
        "Unavailable",
        "is broken",
    ),
    "a frame that is too large": (lambda m: m.says(_frame(1, 0, 1, bytes(16385))[:100]), "Unavailable", "is broken"),
    "no HTTP/2": (lambda m: m.says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "Unavailable", "is broken"),
    "more than the window": (
        lambda m: (m.begins(1), m.says(_frame(0, 0, 1, bytes(16384)) * 300))[1], "Unavailable", "more than it may",
    ),
    "data of a stream that is none": (lambda m: m.says(_frame(0, 0, 9, b"x")), "Unavailable", "is broken"),
    "a message without an end": (
        lambda m: _answers(m, struct.pack(">BI", 0, 10) + b"half", _OK), "Internal", "ends inside a message",
    ),
    "a message that is too large": (
        lambda m: _answers(m, struct.pack(">BI", 0, 1 << 30), _OK), "Internal", "1073741824 bytes",
    ),
    "a compressed message": (lambda m: _answers(m, struct.pack(">BI", 1, 0), _OK), "Internal", "compressed"),
    "no message": (lambda m: _answers(m, b"", _OK), "Internal", "is empty"),
    "no status": (lambda m: _answers(m, bytes(5), ("other", "0")), "Unknown", ""),
    "a status that is none": (lambda m: _answers(m, bytes(5), ("grpc-status", "²")), "Unknown", ""),
    "an unknown status": (lambda m: _trailers_only(m, (":status", "200"), ("grpc-status", "77")), "Code(77)", ""),
    "details that are no base64": (
        lambda m: _trailers_only(m, (":status", "200"), ("grpc-status", "5"), (_DETAILS, "*")), "NotFound", "",
    ),
    "not gRPC": (lambda m: _trailers_only(m, (":status", "503")), "Unavailable", "HTTP status 503"),
    "an end without a status": (
        lambda m: (m.begins(1), m.h2.end_stream(1), m.says())[2], "Internal", "has no status",
    ),
    "a reset": (lambda m: (m.h2.reset_stream(1, 7), m.says())[1], "Unavailable", "reset"),
    "headers without an end": (
        _endless_headers,
        "Unavailable", "is broken",
    ),
    "it leaves before it takes the call": (
        lambda m: m.says(_frame(7, 0, 0, struct.pack(">II", 0, 0) + b"bye")), "Unavailable", "is ending: bye",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", _WRONG)
async def test_a_daemon_at_fault_ends_the_call(what: str) -> None:
    """In one error that says what was wrong; none waits for ever, none takes the memory."""
    hostile, code, text = _WRONG[what]
    error = await _outcome(hostile)
    assert error.code == code
    assert text in error.text


async def test_calls_that_were_taken_go_on_when_the_daemon_leaves() -> None:
    """A daemon that is asked to end finishes its builds; no new ones go there."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    call = asyncio.ensure_future(channel.unary("/s/Call", b""))
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    memory.says(_frame(7, 0, 0, struct.pack(">II", 2**31 - 1, 0)))
    memory.says(_frame(7, 0, 0, struct.pack(">II", 1, 0) + b"graceful stop"))
    await asyncio.sleep(0.05)
    with pytest.raises(RpcError, match="is ending: graceful stop"):
        await channel.unary("/s/Call", b"")
    _answers(memory, b"\0\0\0\0\x02ok", _OK)
    assert await asyncio.wait_for(call, busy(5)) == b"ok"
    await channel.close()


async def test_the_first_calls_wait_for_nothing() -> None:
    """Preface, settings and the calls of one turn leave in one piece, before the daemon has said anything."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    calls = [asyncio.ensure_future(channel.unary(f"/s/{name}", b"x")) for name in ("Session", "Solve", "Status")]
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    await asyncio.sleep(0.05)
    assert memory.written.startswith(b"PRI * HTTP/2.0")
    assert sorted(memory.h2.streams) == [1, 3, 5]
    await channel.close()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_it_sends_no_more_than_it_may() -> None:
    """The daemon's window and frame size count, also when they change under way."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    stream = channel.open("/s/Both")
    codes = h2.settings.SettingCodes
    memory.h2.update_settings({codes.INITIAL_WINDOW_SIZE: 1000})
    memory.says()
    await asyncio.sleep(0.05)
    await stream.write(bytes(70_000))
    await asyncio.sleep(0.05)
    before = len(memory.written)
    assert before < 2000
    memory.h2.update_settings({codes.INITIAL_WINDOW_SIZE: 100_000})
    memory.says()
    await asyncio.sleep(0.05)
    # The connection's own window has its first 65,535 bytes.
    assert 64_000 < len(memory.written) - before < 66_000
    memory.h2.increment_flow_control_window(100_000)
    memory.says()
    await asyncio.sleep(0.05)
    assert stream.out.size == 0
    await channel.close()


class _Link(_Memory):
    """One that takes time, and counts the bytes of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[int] = Counter()
        self._frames = DataFrames()

    async def write(self, data: bytes | memoryview) -> None:
        await super().write(data)
        for part in self._frames.feed(bytes(data)):
            if isinstance(part, Data):
                self.sent[part.stream] += len(part.payload)
        await asyncio.sleep(0.001)


async def test_a_call_that_waits_comes_before_those_that_send_all_the_time() -> None:
    """However long the pieces are in which they write: a build is lost whose session does not answer for long."""
    link = _Link()
    link.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    link.h2.increment_flow_control_window(1 << 30)
    link.says()
    channel = Channel(link, "daemon")
    await asyncio.sleep(0.05)
    streams = [channel.open("/s/Both") for _ in range(2)]

    async def write(stream: Stream, size: int) -> None:
        while True:
            await stream.write(bytes(size))
            await asyncio.sleep(0)

    sizes = (100_000, 1_300_000)
    writing = [asyncio.ensure_future(write(stream, size)) for stream, size in zip(streams, sizes, strict=True)]
    await asyncio.sleep(0.5)
    for one in writing:
        one.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    sent = [link.sent[stream.number] for stream in streams]
    await channel.close()
    assert min(sent) > 0.8 * max(sent)


async def test_a_time_limit_counts_while_the_request_is_sent() -> None:
    """The daemon takes the beginning of it."""
    memory = _Memory()
    memory.says()
    channel = Channel(memory, "daemon")
    with pytest.raises(RpcError) as caught:
        await asyncio.wait_for(channel.unary("/s/Call", bytes(2 * _MEGABYTE), 0.2), busy(5))
    assert caught.value.code == "DeadlineExceeded"
    await channel.close()


async def test_a_fault_while_sending_ends_the_calls() -> None:
    """Whatever it is, nothing is sent any more; and there is nothing to wait for when the channel is closed."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    stream = channel.open("/s/Both")
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    memory.fault = OSError("no such transport")
    await asyncio.wait_for(stream.write(bytes(2 * _MEGABYTE)), busy(5))
    with pytest.raises(RpcError, match="no such transport"):
        await asyncio.wait_for(stream.read(), busy(5))
    await channel.close()


async def test_a_broken_connection_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is closed already."""
    monkeypatch.setattr("buildclient.daemon.channel._CLOSE_GRACE", 1000)
    memory = _Memory()
    channel = Channel(memory, "daemon")
    stream = channel.open("/s/Both")
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    memory.fault = UnreachableError("it is cut")
    await stream.write(b"x")
    with pytest.raises(RpcError, match="it is cut"):
        await asyncio.wait_for(stream.read(), busy(5))
    for _ in range(2):
        await asyncio.wait_for(channel.close(), busy(5))


async def test_an_answer_that_is_no_message_is_the_daemons_fault() -> None:
    """Of one answer and of many; the call is given up."""
    for call in (unary, server_stream):
        memory = _Memory()
        channel = Channel(memory, "daemon")
        answer = call(channel, "/s/Call", control_pb2.ListWorkersResponse)(control_pb2.ListWorkersRequest())
        waiting = asyncio.ensure_future(anext(answer) if isinstance(answer, AsyncIterator) else answer)
        await asyncio.wait_for(memory.arrived.wait(), busy(5))
        _answers(memory, b"\0\0\0\0\x02\x0a\x05", _OK)
        with pytest.raises(RpcError, match=r"Internal: .* is no buildclient.control.ListWorkersResponse"):
            await asyncio.wait_for(waiting, busy(5))
        await channel.close()


async def test_small_pieces_that_come_often_are_taken_together() -> None:
    """A question for each of a thousand files; the first ones are taken as they come."""
    memory = _Memory()
    channel = Channel(memory, "daemon")
    stream = channel.open("/s/Both")
    await asyncio.wait_for(memory.arrived.wait(), busy(5))
    memory.begins(1)
    memory.says()
    messages = 0

    async def read() -> None:
        nonlocal messages
        while await stream.read() is not None:
            messages += 1

    reading = asyncio.ensure_future(read())
    turns = []
    for number in range(300):
        memory.says(_frame(0, 0, 1, b"\0\0\0\0\x01x"))
        await asyncio.sleep(0.001)
        turns.append(messages)
        if number == 10:
            for _ in range(10):
                await asyncio.sleep(0)
            assert messages == 11
    while messages < 300:
        await asyncio.sleep(0.001)
    assert len(set(turns)) < 200
    reading.cancel()
    await channel.close()
