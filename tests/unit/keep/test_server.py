"""The keeper and a command's way to it, against a small apiserver of our own (the real one: tests/cluster)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from buildclient.keep import wire
from buildclient.keep.server import _Reads
from buildclient.keep.watches import BOUNDS
from buildclient.kube.api import KubeApi
from tests.load import busy
from tests.unit.keep.ground import POD, SETTINGS, Ground, until


async def test_a_command_takes_the_tunnel_that_is_there(ground: Ground) -> None:
    """It has it alone; the next one is opened once it is given back."""
    await ground.start()
    connection = await ground.connected()
    assert len(ground.cluster.execs) == 1
    await connection.close()
    await until(lambda: len(ground.cluster.execs) == 2)
    again = await ground.connected()
    assert len(ground.cluster.execs) == 2
    await again.close()


async def test_two_commands_at_once_have_a_tunnel_each(ground: Ground) -> None:
    """The second is opened when it is asked for."""
    await ground.start()
    one, other = await ground.connected(), await ground.connected()
    assert len(ground.cluster.execs) == 2
    await one.close()
    await other.close()


async def test_pods_are_listed_anew_for_every_command(ground: Ground) -> None:
    """What the keeper has seen earlier is not what counts."""
    await ground.start()
    for number in (1, 2):
        command = ground.command()
        assert [pod.name for pod in await command.list("space", {"app": "x"})] == ["pod-0"]
        assert command.keeper.answered
        assert ground.cluster.lists == number


async def test_it_ends_once_it_is_not_used(ground: Ground) -> None:
    """A command that runs uses it, however long."""
    unused = busy(0.5)
    await ground.start(ground.made(unused))
    connection = await ground.connected()
    await asyncio.sleep(2 * unused)
    assert not ground.keep.ended.is_set()
    await connection.close()
    assert await ground.gone() == "it was not used"


async def test_a_changed_kubeconfig_ends_it(ground: Ground) -> None:
    """A command that has read the new file does not find it; one that has read the old one does without it."""
    await ground.start()
    old = ground.command()
    ground.config.write_text("another")
    assert ground.command().keeper.path != ground.path
    assert [pod.name for pod in await old.list("space", {})] == ["pod-0"]
    assert not old.keeper.answered
    assert await ground.gone() == "the kubeconfig has changed"


async def test_a_pod_that_is_gone_ends_it(ground: Ground) -> None:
    """Its tunnel has ended, and there is no other."""
    await ground.start()
    await ground.cluster.execs[0].close()
    assert await ground.gone() == "its pods are gone"


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_end_it(ground: Ground, status: int) -> None:
    """The command asks by itself, and has the cluster's own words."""
    await ground.start()
    ground.cluster.status = status
    with contextlib.suppress(Exception):
        connection = await ground.connected()
        await connection.close()
    with pytest.raises(Exception, match=r"credentials|forbidden"):
        await ground.command().list("space", {})
    assert "refuses" in await ground.gone()


async def test_expired_credentials_end_it(ground: Ground) -> None:
    """A token that says when it ends is not used longer."""
    ground.access = ground.access._replace(token="e30.eyJleHAiOiAxfQ.c2ln")
    await ground.start(ground.made(60))
    assert await ground.gone() == "the credentials have expired"


async def test_it_ends_when_it_is_asked_to(ground: Ground) -> None:
    """As `buildclient stop` does."""
    await ground.start()
    assert await ground.command().keeper.end()
    assert await ground.gone() == "it was asked to"
    assert not await ground.command().keeper.end()


@pytest.mark.parametrize("said", [b"", b"what?\n", b"{}\n", b'{"size": -1}\n', b'{"size": 5}\n[1]', b"x" * 400_000])
async def test_an_odd_keeper_is_left_alone(ground: Ground, said: bytes) -> None:
    """The command works as without one."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    async with await asyncio.start_unix_server(odd, ground.path):
        command = ground.command()
        assert [pod.name for pod in await command.list("space", {})] == ["pod-0"]
        if said != b"{}\n":
            connection = await command.endpoint(POD, "buildkitd").connect(asyncio.get_running_loop().time() + 30)
            assert await connection.read() == SETTINGS
            await connection.close()


async def test_a_silent_keeper_is_not_waited_for(ground: Ground) -> None:
    """Nor one that was killed, whose socket is still there."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(silent, ground.path):
        command = ground.command()
        command.keeper.patience = 0.1
        assert [pod.name for pod in await command.list("space", {})] == ["pod-0"]
    assert [pod.name for pod in await ground.command().list("space", {})] == ["pod-0"]


_AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(30)
try:
    sock.connect(sys.argv[1])
    sock.sendall(b'{"get": "/api/v1/namespaces/n/pods", "query": {}}\\n')
    print("said", sock.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
async def test_another_user_is_refused(ground: Ground) -> None:
    """By the folder; where somebody has opened it to all, by the user that the kernel names, who hears nothing."""
    await ground.start()

    async def nobody(path: str) -> str:
        command = [sys.executable, "-c", _AS_NOBODY, path]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, cwd="/", timeout=60)
        return done.stdout.strip()

    os.chmod(ground.config.parent, 0o755)
    assert await nobody(ground.path) == "PermissionError"
    for path in (ground.path, os.path.dirname(ground.path), os.path.dirname(os.path.dirname(ground.path))):
        os.chmod(path, 0o777)
    assert await nobody(ground.path) in ("said b''", "ConnectionResetError", "BrokenPipeError")
    assert ground.cluster.lists == 0
    # And the command itself trusts no such folder.
    command = ground.command()
    await command.list("space", {})
    assert not command.keeper.answered


async def test_a_tunnel_on_which_nothing_answers_is_opened_anew(ground: Ground) -> None:
    """A network that is gone ends no connection; a command is not given one of those."""
    await ground.start(ground.made(60, bounds=BOUNDS._replace(ping_interval=busy(0.1))))
    await asyncio.sleep(busy(1.5))
    assert len(ground.cluster.execs) == 1
    ground.cluster.execs[0].transport.pause_reading()
    await asyncio.sleep(busy(0.2))
    connection = await ground.connected()
    assert len(ground.cluster.execs) == 2
    await connection.close()


async def test_tunnels_are_opened_anew_when_the_machine_has_slept(ground: Ground) -> None:
    """Also for a command that comes before the keeper has looked."""
    slept = 0.0
    await ground.start(ground.made(60, clock=lambda: time.time() + slept))
    slept = 3600.0
    connection = await ground.connected()
    assert len(ground.cluster.execs) == 2
    await connection.close()
    await until(lambda: len(ground.cluster.execs) == 3)
    slept = 7200.0
    await until(lambda: len(ground.cluster.execs) == 4)
    assert ground.cluster.execs[2].state.name == "CLOSED"
    assert not ground.keep.ended.is_set()


class _Raced(list[Any]):
    """Seems to have one, which another thread has taken."""

    def __len__(self) -> int:
        return 1


async def test_two_threads_do_not_take_one_connection(ground: Ground) -> None:
    """The one that comes too late opens another; a watch would end for good otherwise."""
    reads = _Reads(KubeApi(ground.access, {}))
    reads._idle = _Raced()
    asked = wire.Get("/api/v1/namespaces/space/pods", (("labelSelector", "app=x"),))
    assert b"pod-0" in await asyncio.to_thread(reads.get, asked)
