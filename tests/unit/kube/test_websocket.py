"""The WebSocket under the exec tunnel, held to the `websockets` library: what one side sends the other understands."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import itertools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol
from websockets.protocol import State as ProtocolState

from buildclient.kube import frames as ws
from buildclient.kube.websocket import Closed, Target, WebSocket, connect
from buildclient.net.proxy import ProxyRefused
from tests.load import busy

messages = st.lists(
    st.one_of(
        st.binary(max_size=200), st.integers(120, 70_000).map(lambda size: bytes(range(256)) * (size // 256 + 1))
    ),
    max_size=8,
)


def read_whole(data: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """What a reader finds in bytes that arrive cut at these places."""
    reader = ws.MessageReader()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [found for a, b in itertools.pairwise(places) for found in reader.feed(data[a:b])]


@given(messages, st.binary(min_size=4, max_size=4))
def test_the_library_reads_what_we_write(sent: list[bytes], key: bytes) -> None:
    """Each frame is one masked binary message, whatever its length."""
    theirs = Protocol(SERVER, max_size=None)
    for payload in sent:
        theirs.receive_data(ws.frame(ws.BINARY, payload, key))
    read = theirs.events_received()
    assert [(frame.opcode, bytes(frame.data)) for frame in read if isinstance(frame, Frame)] == [
        (Opcode.BINARY, payload) for payload in sent
    ]
    assert theirs.state is ProtocolState.OPEN


@given(messages, st.lists(st.integers(0, 1 << 20), max_size=20))
def test_we_read_what_the_library_writes(sent: list[bytes], cuts: list[int]) -> None:
    """Messages come out whole wherever the stream is cut, fragments joined, pings between them kept apart."""
    theirs = Protocol(SERVER)
    expected: list[tuple[int, bytes]] = []
    for number, payload in enumerate(sent):
        if number % 2:
            theirs.send_binary(payload[:7], fin=False)
            theirs.send_ping(b"between")
            theirs.send_continuation(payload[7:], fin=True)
            expected += [(ws.PING, b"between"), (ws.BINARY, payload)]
        else:
            theirs.send_binary(payload)
            expected.append((ws.BINARY, payload))
    assert read_whole(b"".join(theirs.data_to_send()), cuts) == expected


@given(st.binary(max_size=5000), st.binary(min_size=4, max_size=4))
def test_masking_twice_gives_the_data_back(data: bytes, key: bytes) -> None:
    """Our mask and the library's are one function."""
    from websockets.speedups import apply_mask

    assert ws.mask_by_number(data, key) == apply_mask(data, key)
    assert ws.mask_by_number(ws.mask_by_number(data, key), key) == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xc2\x00", "reserved bit set"),
        (b"\x82\x81\0\0\0\0x", "masked frame from server"),
        (b"\x83\x00", "unknown opcode 0x3"),
        (b"\x09\x00", "fragmented control frame"),
        (b"\x89\x7e\x00\x80", "control frame longer than 125 bytes"),
        (b"\x80\x00", "continuation frame without a message to continue"),
        (b"\x02\x01a\x82\x01b", "new message before the last fragment"),
        (b"\x82\x7f" + (1 << 40).to_bytes(8), "frame longer than 16777216 bytes"),
    ],
)
def test_a_broken_frame_is_an_error(data: bytes, words: str) -> None:
    """Each fault of the server has a message of its own, and none is taken for data."""
    with pytest.raises(ws.RemoteProtocolError, match=words):
        list(ws.MessageReader().feed(data))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Noise raises nothing but RemoteProtocolError, as frames and as an answer's head."""
    with contextlib.suppress(ws.RemoteProtocolError):
        list(ws.MessageReader().feed(data))
    with contextlib.suppress(ws.RemoteProtocolError):
        ws.read_head(data + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"HTTP/1.1 101 OK\r\n\r\n", "without Upgrade: websocket"),
        (b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n", "wrong Sec-WebSocket-Accept"),
    ],
)
def test_an_answer_that_is_no_upgrade_is_refused(head: bytes, words: str) -> None:
    """The accept value must be that of our key."""
    read = ws.read_head(head)
    assert read is not None
    with pytest.raises(ws.RemoteProtocolError, match=words):
        ws.accepted(read, b"k" * 16, ["v5"])


def test_a_header_cannot_carry_another() -> None:
    """A token with a line break in it is refused before anything is sent."""
    with pytest.raises(ws.LocalProtocolError, match=r"line break in header 'Authorization'$"):
        ws.request("h", "/", b"k" * 16, ["v5"], [("Authorization", "Bearer a\r\nX: y")])


def test_without_a_protocol_none_is_asked_for() -> None:
    """A watch has none."""
    assert b"Protocol: v5\r\n" in ws.request("h", "/", b"k" * 16, ["v5"], [])
    assert b"Protocol" not in ws.request("h", "/", b"k" * 16, (), [])


@pytest.mark.parametrize(
    ("head", "rest", "body"),
    [
        ("content-length: 4", b"abcdef", b"abcd"),
        ("transfer-encoding: chunked", b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", b"abcde"),
        ("transfer-encoding: chunked", b"zz\r\n0\r\n\r\n", b""),
    ],
)
def test_a_refusals_body_is_read(head: str, rest: bytes, body: bytes) -> None:
    """By its length, or in chunks."""
    read = ws.read_head(b"HTTP/1.1 403 Forbidden\r\n" + head.encode() + b"\r\n\r\n")
    assert read is not None
    assert ws.body_of(read, rest, ended=False) == body
    assert ws.body_of(read, b"", ended=False) is None


async def echo(connection: ServerConnection) -> None:
    """Gives back what comes."""
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext | None = None, handler: object = echo) -> AsyncIterator[int]:
    """A server of the library's on loopback; its port."""
    async with serve(
        handler,  # type: ignore[arg-type]
        "127.0.0.1",
        0,
        subprotocols=["v5"],  # type: ignore[list-item]
        ssl=context,
        max_size=None,
        close_timeout=0.2,
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@contextlib.asynccontextmanager
async def proxying(status: str = "200 fine") -> AsyncIterator[tuple[int, list[str]]]:
    """An HTTP proxy; its port and the heads that it was asked with."""
    asked: list[str] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if not status.startswith("200"):
            writer.close()
            return
        host, _, port = head.split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server named kubernetes.example, and of a client that trusts it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes.example")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("kubernetes.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert", folder / "key")
    return server, ssl.create_default_context(cafile=str(folder / "cert"))


async def echoed(socket: WebSocket, size: int) -> None:
    """A message goes and comes back, short and long."""
    for payload in (b"short", bytes(range(256)) * (size // 256)):
        await socket.send(payload)
        assert await asyncio.wait_for(socket.recv(), 5) == payload
    socket.abort()
    await asyncio.wait_for(socket.wait_closed(), 5)


@pytest.mark.parametrize("through", ["", "proxy"])
@pytest.mark.parametrize("secure", [False, True])
async def test_messages_go_and_come(secure: bool, through: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Plain and over TLS, straight and through a proxy, which gets its password."""
    server, client = tls if secure else (None, None)
    async with serving(server) as port, proxying() as (proxy, asked):
        url = f"{'https' if secure else 'http'}://127.0.0.1:{port}/a?b=c"
        target = Target(url, client, "kubernetes.example", f"http://me:p%40ss@127.0.0.1:{proxy}" if through else "")
        socket = await connect(target, [("X-Own", "1")], ("v5", "v4"))
        assert socket.subprotocol == "v5"
        await echoed(socket, 300_000)
    assert [head.splitlines()[0] for head in asked] == ([f"CONNECT 127.0.0.1:{port} HTTP/1.1"] if through else [])
    if through:
        assert base64.b64encode(b"me:p@ss").decode() in asked[0]


async def test_a_certificate_of_another_name_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The server's name is checked where the kubeconfig names none of its own."""
    async with serving(tls[0]) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(Target(f"https://127.0.0.1:{port}/", tls[1]), [], ("v5",))


async def test_a_proxy_that_refuses_is_said() -> None:
    """Its status and words are in the message."""
    async with proxying("407 Proxy Authentication Required") as (port, _):
        with pytest.raises(ProxyRefused, match="407 Proxy Authentication Required"):
            await connect(Target("http://10.0.0.1:80/", proxy=f"http://127.0.0.1:{port}"), [], ("v5",))


async def test_reading_stops_while_nobody_takes_what_came() -> None:
    """A sender is held back, and nothing is lost when reading goes on."""
    sent = 0

    async def pours(connection: ServerConnection) -> None:
        nonlocal sent
        for number in range(600):
            await connection.send(number.to_bytes(4) + bytes(32 << 10))
            sent += 1

    async with serving(handler=pours) as port:
        socket = await connect(Target(f"http://127.0.0.1:{port}/"), [], ("v5",))
        await asyncio.sleep(0.5)
        held = sent
        assert held < 600
        assert [int.from_bytes((await socket.recv())[:4]) for _ in range(600)] == list(range(600))
        with pytest.raises(Closed, match="closed by the other side with 1000"):
            await socket.recv()


async def test_writing_waits_for_a_peer_that_does_not_read() -> None:
    """What is sent and not taken is bounded by the transport, not kept in memory."""
    stop = asyncio.Event()

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await stop.wait()

    async with serving(handler=deaf) as port:
        socket = await connect(Target(f"http://127.0.0.1:{port}/"), [], ("v5",))

        async def pour() -> None:
            for _ in range(1000):
                await socket.send(bytes(128 << 10))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pour(), 0.5)
        socket.abort()
        stop.set()


async def test_silence_ends_it() -> None:
    """A peer that answers no ping is given up, and whoever waits is told."""
    stop = asyncio.Event()

    async def frozen(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await stop.wait()

    async with serving(handler=frozen) as port:
        socket = await connect(Target(f"http://127.0.0.1:{port}/"), [], ("v5",), ping_interval=0.05, ping_timeout=0.2)
        assert socket.answers
        with pytest.raises(Closed, match="no answer to pings"):
            await asyncio.wait_for(socket.recv(), 5)
        assert not socket.answers
        stop.set()


async def test_a_peer_that_answers_pings_stays() -> None:
    """A quiet connection outlives the allowed silence."""
    async with serving() as port:
        socket = await connect(
            Target(f"http://127.0.0.1:{port}/"), [], ("v5",), ping_interval=0.2, ping_timeout=busy(1.5)
        )
        await asyncio.sleep(busy(2))
        assert socket.answers
        await echoed(socket, 10_000)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"\x82\x01a\x88\x02\x03\xe8\x89\x00", "closed by the other side with 1000"),
        (b"\x82\x01a\xc2\x00", "reserved bit set"),
        (b"\x82\x01a\x82\x05b", "ended without a closing frame"),
    ],
    ids=["a ping after the end", "a reserved bit", "half a frame"],
)
async def test_a_connection_that_ends_ends_with_its_reason(sent: bytes, words: str) -> None:
    """What came whole before is read, then the reason is told, and no exception is lost in the loop."""
    lost: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))

    async def breaks(connection: ServerConnection) -> None:
        connection.transport.write(sent)
        await asyncio.sleep(0.3)
        connection.transport.abort()

    async with serving(handler=breaks) as port:
        socket = await connect(Target(f"http://127.0.0.1:{port}/"), [], ("v5",))
        assert await socket.recv() == b"a"
        with pytest.raises(Closed, match=words):
            await socket.recv()
        with pytest.raises(Closed):
            await socket.send(b"more")
    assert lost == []
