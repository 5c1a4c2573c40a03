"""SSH agents of a build: sockets of real and of broken agents, and daemons that ask for more than they may."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from buildclient.base.errors import InvalidBuild
from buildclient.proto import secrets_pb2 as pb
from buildclient.request.ssh import SshForward
from buildclient.session import agentwire as wire
from buildclient.session.call import Code, Service
from buildclient.session.health import health
from buildclient.session.ssh import SshAgents
from buildclient.session.wire import bytes_message, read_bytes_message
from tests.load import busy
from tests.unit.session.test_secrets import flood
from tests.unit.session.test_server import HEALTH, Daemon, daemon
from tests.unit.session.test_sshkeys import keygen, needs_ssh, sign_request, signature_of

CHECK, FORWARD = "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"
LIST = bytes((wire.LIST,))
EMPTY_LIST = b"\x0c\0\0\0\0"


async def service(*forwards: SshForward, timeout: float = 5, **environ: str) -> Service:
    """The service of a build that names these agents."""
    agents = SshAgents(forwards, environ, timeout=timeout)
    await agents.load()
    return agents.service()


def send(one: Daemon, stream: int, *requests: bytes) -> None:
    """Sends requests of the agent protocol on an open call."""
    for request in requests:
        one.h2.send_data(stream, wire_frame(request))
    one.flush()


def wire_frame(request: bytes) -> bytes:
    """One request as the gRPC message that carries it."""
    message = bytes_message(wire.packed(request))
    return b"\0" + len(message).to_bytes(4, "big") + message


def forward(one: Daemon, *requests: bytes, name: str = "", half_close: bool = True) -> int:
    """Opens a stream and sends requests; gives its number."""
    headers = {"buildkit.ssh.id": name} if name else {}
    return one.call(
        FORWARD, *(bytes_message(wire.packed(request)) for request in requests), half_close=half_close, **headers
    )


def answers(one: Daemon, stream: int) -> list[bytes]:
    """The answers that have come on a stream."""
    reader = wire.AgentMessages()
    return [answer for message in one.messages[stream] for answer in reader.feed(read_bytes_message(message))]


async def answered(one: Daemon, stream: int, count: int) -> list[bytes]:
    """The answers on a stream once there are `count`."""
    async with asyncio.timeout(busy(5)):
        while len(found := answers(one, stream)) < count:
            await asyncio.sleep(0.01)
    return found


class Agent:
    """A socket whose connections `act` serves; counts those that are open."""

    def __init__(
        self, path: Path, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self.path, self._act = str(path), act
        self.open = self.most = 0
        self.got: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._act(reader, writer)
            while data := await reader.read(1 << 16):
                self.got.append(data)
        self.open -= 1
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Agent]:
        server = await asyncio.start_unix_server(self._serve, self.path)
        try:
            yield self
        finally:
            server.close()

    async def all_closed(self) -> None:
        async with asyncio.timeout(busy(5)):
            while self.open:
                await asyncio.sleep(0.01)


def replying(*answers: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Sends each of these raw answers to one request."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(size)
            writer.write(answer)

    return act


@pytest.fixture
def real_agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of OpenSSH's agent with one key."""
    if not shutil.which("ssh-agent"):
        pytest.skip("needs ssh-agent")
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        keygen(tmp_path, "-t", "ed25519")
        for _ in range(100):
            if path.exists():
                break
            subprocess.run(["sleep", "0.05"], check=True)
        environ = {**os.environ, "SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", str(tmp_path / "key")], env=environ, check=True, timeout=60)
        yield path
    finally:
        agent.kill()
        agent.wait()


async def test_an_agent_lists_and_signs_and_nothing_else(real_agent: Path, tmp_path: Path) -> None:
    """OpenSSH's agent still holds its key, unlocked, after a daemon has tried to remove and to lock it."""
    blob = subprocess.run(["ssh-add", "-L"], env={**os.environ, "SSH_AUTH_SOCK": str(real_agent)}, capture_output=True)
    assert b"ssh-ed25519" in blob.stdout
    async with daemon(await service(SshForward("default"), SSH_AUTH_SOCK=str(real_agent))) as one:
        hostile = [bytes((kind,)) + wire.string(b"x") for kind in (1, 9, 17, 18, 19, 20, 21, 22, 23, 25, 26, 27, 255)]
        stream = forward(one, LIST, *hostile, LIST)
        await one.ended(stream)
        first, *refused, last = answers(one, stream)
        assert refused == [wire.FAILURE] * len(hostile)
        assert first == last
        key = first[9 : 9 + int.from_bytes(first[5:9], "big")]
        signing = forward(one, sign_request(key, b"data"))
        await one.ended(signing)
        assert signature_of(answers(one, signing)[0])[0] == b"ssh-ed25519"


@needs_ssh
async def test_keys_answer_without_an_agent(tmp_path: Path) -> None:
    """Key files serve under their id; no other id is served, and none of the environment."""
    _, blob = keygen(tmp_path, "-t", "ed25519")
    files = await service(SshForward("deploy", (str(tmp_path / "key"),)), SSH_AUTH_SOCK="/nowhere")
    async with daemon(files) as one:
        stream = forward(one, LIST, sign_request(blob, b"data"), name="deploy")
        assert (await one.ended(stream))["grpc-status"] == "0"
        listed, signed = answers(one, stream)
        assert listed == wire.identities_answer([blob])
        assert signature_of(signed)[0] == b"ssh-ed25519"
        for name in ("", "default", "Deploy", "deploy,default", str(tmp_path / "key")):
            ended = await one.ended(forward(one, LIST, name=name))
            assert ended["grpc-status"] == str(Code.UNKNOWN)
            assert "unset ssh forward key" in ended["grpc-message"]


async def test_check_agent_knows_the_named_ids(tmp_path: Path) -> None:
    """An empty id is `default`; for others the words are BuildKit's."""
    async with (
        Agent(tmp_path / "a", replying()).listening() as agent,
        daemon(await service(SshForward("", (agent.path,)))) as one,
    ):
        for name, status in ((b"", "0"), (b"default", "0"), (b"other", str(Code.UNKNOWN))):
            stream = one.call(CHECK, pb.CheckAgentRequest(id=name).SerializeToString())
            ended = await one.ended(stream)
            assert ended["grpc-status"] == status
        assert ended["grpc-message"] == "unset ssh forward key other"
    async with daemon(await service()) as one:
        assert (await one.ended(one.call(CHECK, b"")))["grpc-message"] == "unset ssh forward key default"


async def test_twenty_streams_have_a_connection_each(tmp_path: Path) -> None:
    """All are open at the same time, none waits for another, and all are closed at the end."""
    reply = wire.packed(EMPTY_LIST)
    async with (
        Agent(tmp_path / "a", replying(*[reply] * 9)).listening() as agent,
        daemon(await service(SshForward("default", (agent.path,)))) as one,
    ):
        streams = [forward(one, LIST, half_close=False) for _ in range(20)]
        for stream in streams:
            assert await answered(one, stream, 1) == [EMPTY_LIST]
        assert agent.open == 20
        for stream in reversed(streams):
            send(one, stream, LIST)
            one.h2.end_stream(stream)
            one.flush()
            await one.ended(stream)
            assert len(answers(one, stream)) == 2
        await agent.all_closed()


async def test_a_cancelled_stream_frees_its_socket(tmp_path: Path) -> None:
    """Whether idle or in the middle of a request, and at the end of the session too."""
    async with Agent(tmp_path / "a", replying()).listening() as agent:
        async with daemon(await service(SshForward("default", (agent.path,)))) as one:
            streams = [forward(one, *requests, half_close=False) for requests in ((), (LIST,), (LIST, LIST))]
            async with asyncio.timeout(busy(5)):
                while agent.open < 3:
                    await asyncio.sleep(0.01)
            for stream in streams:
                one.h2.reset_stream(stream)
            one.flush()
            await agent.all_closed()
            forward(one, half_close=False)
            async with asyncio.timeout(busy(5)):
                while not agent.open:
                    await asyncio.sleep(0.01)
        await agent.all_closed()


async def test_a_frozen_agent_ends_in_time(tmp_path: Path) -> None:
    """The stream ends with an error; the session goes on."""

    async def freeze(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with Agent(tmp_path / "a", freeze).listening() as agent:
        served = {**health(), **await service(SshForward("default", (agent.path,)), timeout=0.2)}
        async with daemon(served) as one:
            async with asyncio.timeout(busy(5)):
                ended = await one.ended(forward(one, LIST, half_close=False))
            assert "gave no answer" in ended["grpc-message"]
            assert (await one.ended(one.call(HEALTH, b"")))["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("raw", "status", "passed"),
    [
        (b"\xff\xff\xff\xff" + bytes(100), Code.INVALID_ARGUMENT, []),
        ((wire.MAX_MESSAGE + 1).to_bytes(4, "big"), Code.INVALID_ARGUMENT, []),
        (b"\0\0\0\0", Code.INVALID_ARGUMENT, []),
        (wire.packed(b"\x0e\0\0\0\0"), Code.OK, [wire.FAILURE]),
        (wire.packed(b"\x06"), Code.OK, [wire.FAILURE]),
        (wire.packed(wire.FAILURE), Code.OK, [wire.FAILURE]),
        (wire.packed(EMPTY_LIST), Code.OK, [EMPTY_LIST]),
    ],
    ids=["4 GiB", "256 KiB and one", "empty", "a signature", "success", "failure", "a list"],
)
async def test_an_agents_answer_is_bounded_and_of_the_right_kind(
    raw: bytes, status: int, passed: list[bytes], tmp_path: Path
) -> None:
    """Only an answer to what was asked is passed on."""
    async with (
        Agent(tmp_path / "a", replying(raw)).listening() as agent,
        daemon(await service(SshForward("default", (agent.path,)))) as one,
    ):
        stream = forward(one, LIST)
        assert (await one.ended(stream))["grpc-status"] == str(status)
        assert answers(one, stream) == passed


async def test_an_agent_that_goes_away_ends_the_stream(tmp_path: Path) -> None:
    """And one that is gone when a stream begins."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        writer.close()

    async with Agent(tmp_path / "a", leave).listening() as agent:
        served = await service(SshForward("default", (agent.path,)))
        async with daemon(served) as one:
            assert "closed the connection" in (await one.ended(forward(one, LIST)))["grpc-message"]
    async with daemon(served) as one:
        assert "failed to connect" in (await one.ended(forward(one, LIST)))["grpc-message"]


async def test_hostile_streams_reach_no_agent(tmp_path: Path) -> None:
    """Messages too long, empty, cut or endless, and other methods: the agent is asked nothing, the session goes on."""
    async with Agent(tmp_path / "a", replying()).listening() as agent:
        served = {**health(), **await service(SshForward("default", (agent.path,)))}
        async with daemon(served) as one:
            for raw in (b"\xff\xff\xff\xff", b"\0\0\0\0", (wire.MAX_MESSAGE + 1).to_bytes(4, "big") + b"\x0b"):
                stream = one.call(FORWARD, bytes_message(raw), half_close=False)
                assert (await one.ended(stream))["grpc-status"] == str(Code.INVALID_ARGUMENT)
            assert (await one.ended(one.call(FORWARD, b"\xff\xff")))["grpc-status"] == str(Code.INVALID_ARGUMENT)
            # Cut in the middle, then closed.
            assert (await one.ended(one.call(FORWARD, bytes_message(b"\0\0\0\x09\x0b"))))["grpc-status"] == "0"
            await flood(one, FORWARD, 8 << 20, whole=False)
            for method in (FORWARD.lower(), "/moby.sshforward.v1.SSH/AddKey", "/moby.sshforward.v1.SSH/"):
                assert (await one.ended(one.call(method, LIST)))["grpc-status"] == str(Code.UNIMPLEMENTED)
            assert (await one.ended(one.call(HEALTH, b"")))["grpc-status"] == "0"
    assert agent.got == []


async def test_a_daemon_that_reads_nothing_stops_the_questions(tmp_path: Path) -> None:
    """What an agent may answer ahead of a daemon that takes nothing is bounded."""
    asked = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readexactly(5):
            asked += 1
            writer.write(wire.packed(b"\x0c" + bytes(100 << 10)))
            await writer.drain()

    async with (
        Agent(tmp_path / "a", act).listening() as agent,
        daemon(await service(SshForward("default", (agent.path,)))) as one,
    ):
        one.gate.clear()
        forward(one, *[LIST] * 200, half_close=False)
        await asyncio.sleep(0.5)
        one.gate.set()
        assert asked < 20


@pytest.mark.parametrize(
    ("forward_", "message"),
    [
        (SshForward("default"), "{default [] false}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"),
        (SshForward("a", ("nope",)), 'convert agent config for ID: "a": stat nope: no such file or directory'),
        (SshForward("a", ("dir",)), "failed to read dir: read dir: is a directory"),
        (SshForward("a", ("text",)), "failed to parse text: ssh: no key found"),
        (SshForward("a", ("socket", "text")), "only single socket allowed"),
        (SshForward("a", ("", "text")), "{a [ text] false}: invalid empty ssh agent socket"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_what_cannot_be_forwarded_is_said_before_the_build(
    forward_: SshForward, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In docker buildx's words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "text").write_text("hunter2")
    async with Agent(tmp_path / "socket", replying()).listening():
        with pytest.raises(InvalidBuild) as caught:
            await service(forward_)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
