"""The secrets of a build, asked for by a daemon in memory; some daemons are hostile."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from buildclient.base.errors import InvalidBuild
from buildclient.proto import secrets_pb2 as pb
from buildclient.request.secrets import MAX_SECRET, Secret, SecretCall, SecretEnv, SecretFile, SecretValue
from buildclient.session.call import Code
from buildclient.session.health import health
from buildclient.session.secrets import Secrets
from tests.load import busy
from tests.unit.session.test_server import HEALTH, Daemon, daemon

GET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"


def request(name: str) -> bytes:
    """The daemon's question for an id."""
    return pb.GetSecretRequest(id=name.encode()).SerializeToString()


async def asked(one: Daemon, name: str) -> tuple[str, str, bytes]:
    """Status, message and secret of one call."""
    stream = one.call(GET, request(name))
    trailers = await one.ended(stream)
    data = b"".join(pb.GetSecretResponse.FromString(message).data for message in one.messages[stream])
    return trailers["grpc-status"], trailers.get("grpc-message", ""), data


async def flood(one: Daemon, method: str, size: int, *, whole: bool = True) -> int:
    """Sends one message of `size` bytes, or one that is announced and never ends; gives its stream."""
    stream = one.call(method, half_close=False)
    one.h2.send_data(stream, b"\0" + (size if whole else 60 << 20).to_bytes(4, "big"))
    sent = 0
    while sent < size:
        room = min(16384, one.h2.local_flow_control_window(stream), size - sent)
        if not room:
            break
        one.h2.send_data(stream, bytes(room))
        one.flush()
        sent += room
        await asyncio.sleep(0)
    if whole:
        one.h2.end_stream(stream)
        one.flush()
    return stream


async def answers(sources: Mapping[str, Secret], *names: str, timeout: float = 5) -> list[tuple[str, str, bytes]]:
    """The answers to several calls, one after the other."""
    async with daemon(Secrets(sources, {"TOKEN": "from env"}, timeout=timeout).service()) as one:
        return [await asked(one, name) for name in names]


async def test_every_kind_of_source_answers(tmp_path: Path) -> None:
    """A file, a variable, bytes and a function each give their secret."""
    (tmp_path / "a").write_bytes(b"from\0file\n")
    sources: dict[str, Secret] = {
        "file": SecretFile(str(tmp_path / "a")),
        "env": SecretEnv("TOKEN"),
        "bytes": SecretValue(b"held"),
        "call": SecretCall(lambda: b"called"),
    }
    found = await answers(sources, *sources)
    assert [data for _, _, data in found] == [b"from\0file\n", b"from env", b"held", b"called"]
    assert {status for status, _, _ in found} == {"0"}


async def test_a_secret_not_named_is_not_found(tmp_path: Path) -> None:
    """A daemon that asks for other variables and files gets NOT_FOUND, however it writes them."""
    (tmp_path / "other").write_text("private")
    names = ["PATH", "HOME", str(tmp_path / "other"), "../other", "", "token\0", "TOKEN", "token ", "/dev/stdin"]
    found = await answers({"token": SecretValue(b"x")}, *names)
    assert found == [(str(Code.NOT_FOUND), "not found", b"")] * len(names)


async def test_a_file_is_read_when_the_daemon_asks(tmp_path: Path) -> None:
    """As docker buildx does; one that has grown too large meanwhile, or is gone, is an error."""
    path = tmp_path / "a"
    path.write_text("1")
    secrets = Secrets({"a": SecretFile(str(path))}, {})
    secrets.check()
    async with daemon(secrets.service()) as one:
        assert (await asked(one, "a"))[2] == b"1"
        path.write_text("2")
        assert (await asked(one, "a"))[2] == b"2"
        path.write_bytes(bytes(MAX_SECRET + 1))
        assert (await asked(one, "a"))[::2] == (str(Code.UNKNOWN), b"")
        path.unlink()
        status, message, _ = await asked(one, "a")
        assert (status, "no such file" in message) == (str(Code.UNKNOWN), True)


async def test_a_function_is_called_once_and_in_a_thread() -> None:
    """Several nodes ask at the same time and again; the loop is never blocked."""
    threads: list[str] = []
    go = threading.Event()

    def give() -> bytes:
        threads.append(threading.current_thread().name)
        go.wait(60)
        return b"value"

    async with daemon({**health(), **Secrets({"a": SecretCall(give)}, {}).service()}) as one:
        streams = [one.call(GET, request("a")) for _ in range(5)]
        assert (await one.ended(one.call(HEALTH, b"")))["grpc-status"] == "0"
        go.set()
        assert {(await one.ended(stream))["grpc-status"] for stream in streams} == {"0"}
        assert (await asked(one, "a"))[2] == b"value"
    assert len(threads) == 1
    assert threads[0] != threading.current_thread().name


async def test_a_function_that_fails_tells_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """The exception of a function may hold the secret: neither the daemon nor the log gets its text."""
    caplog.set_level(logging.DEBUG)

    def fail() -> bytes:
        raise ValueError("password hunter2")

    wrong: dict[str, Secret] = {"a": SecretCall(fail), "b": SecretCall(lambda: "hunter2")}  # type: ignore[arg-type,return-value]
    found = await answers(wrong, "a", "b")
    assert [status for status, _, _ in found] == [str(Code.UNKNOWN)] * 2
    assert "hunter2" not in str(found) + caplog.text
    assert "ValueError" in found[0][1]
    assert "bytes, not str" in found[1][1]


async def test_a_function_that_never_returns_ends_in_time() -> None:
    """The call ends with an error after the limit; the thread does not hold the process."""
    wait = threading.Event()

    def hang() -> bytes:
        wait.wait(30)
        return b""

    async with asyncio.timeout(busy(5)):
        ((status, message, _),) = await answers({"a": SecretCall(hang)}, "a", timeout=0.1)
    wait.set()
    assert (status, "nothing came" in message) == (str(Code.UNKNOWN), True)


async def test_a_pipe_is_read_once_for_all_nodes() -> None:
    """`--secret id=a,src=<(command)` gives every node the same bytes."""
    read, write = os.pipe()
    os.write(write, b"piped")
    os.close(write)
    try:
        found = await answers({"a": SecretFile(f"/proc/self/fd/{read}")}, "a", "a")
    finally:
        os.close(read)
    assert [data for _, _, data in found] == [b"piped"] * 2


async def test_a_device_without_end_is_bounded() -> None:
    """/dev/zero is too long for a secret, and is not read to its end."""
    ((status, _, data),) = await answers({"a": SecretFile("/dev/zero")}, "a")
    assert (status, data) == (str(Code.UNKNOWN), b"")


async def test_hostile_requests_end_their_call_alone() -> None:
    """Requests that are no message, of a megabyte, cut, missing or endless: the next one is answered."""
    async with daemon({**health(), **Secrets({"a": SecretValue(b"x")}, {}).service()}) as one:
        for hostile in (b"\xff" * 20, b"\x0a" + b"\xff" * 9):
            assert (await one.ended(one.call(GET, hostile)))["grpc-status"] != "0"
        assert (await one.ended(await flood(one, GET, 2 << 20)))["grpc-status"] == str(Code.INVALID_ARGUMENT)
        assert (await one.ended(one.call(GET)))["grpc-status"] == str(Code.INVALID_ARGUMENT)
        endless = one.call(GET, request("a"), request("a"), half_close=False)
        assert (await one.ended(endless))["grpc-status"] == "0"
        for method in ("/moby.buildkit.secrets.v1.Secrets/ListSecrets", GET.lower(), GET + "/", "//x"):
            assert (await one.ended(one.call(method, request("a"))))["grpc-status"] == str(Code.UNIMPLEMENTED)
        assert (await asked(one, "a"))[2] == b"x"


async def test_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The debug log names the method that the daemon calls, and nothing of what it gets."""
    caplog.set_level(logging.DEBUG)
    await answers({"a": SecretValue(b"hunter2"), "b": SecretEnv("TOKEN")}, "a", "b")
    assert GET in caplog.text
    assert "hunter2" not in caplog.text
    assert "from env" not in caplog.text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SecretFile("nope"), "failed to stat nope: stat nope: no such file or directory"),
        (SecretFile("a\0b"), "invalid argument"),
        (SecretFile("/tmp"), "secret x: /tmp is a directory"),
        (SecretFile("big"), "secret x too big. max size 500KiB"),
        (SecretValue(bytes(MAX_SECRET + 1)), "secret x too big. max size 500KiB"),
        (SecretEnv("BIG"), "secret x too big. max size 500KiB"),
        (SecretEnv("UNSET"), "secret x: the environment has no variable UNSET"),
    ],
    ids=["missing", "zero", "folder", "large file", "large bytes", "large variable", "unset"],
)
def test_what_cannot_be_served_is_said_before_the_build(
    source: Secret, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file or variable, and one of more than 500 KiB."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big").write_bytes(bytes(MAX_SECRET + 1))
    with pytest.raises(InvalidBuild) as caught:
        Secrets({"x": source}, {"BIG": "a" * (MAX_SECRET + 1)}).check()
    assert message in str(caught.value)


def test_the_largest_secret_passes(tmp_path: Path) -> None:
    """500 KiB to the byte."""
    (tmp_path / "fit").write_bytes(bytes(MAX_SECRET))
    Secrets({"a": SecretFile(str(tmp_path / "fit")), "b": SecretValue(bytes(MAX_SECRET))}, {}).check()
