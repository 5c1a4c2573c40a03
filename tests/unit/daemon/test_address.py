"""Ways to a daemon that need no daemon to be tried: files of TLS, and programs that end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.contract.address import Ssh, Tcp, Unix
from buildclient.daemon.address import AddressEndpoint
from buildclient.daemon.ssh import SshEndpoint, ssh_command
from buildclient.daemon.tls import tls_context
from tests.certificates import Authority

SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def soon(seconds: float = 30) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


def test_files_of_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Which one, and why."""
    one, other = Authority(tmp_path).issue("one"), Authority(tmp_path, "two").issue("other")
    empty = tmp_path / "empty"
    empty.touch()
    ca = str(tmp_path / "test-ca.pem")
    for tls, words in (
        ({"ca": "/nowhere"}, "cannot read the CA certificates /nowhere: no such file"),
        ({"ca": str(empty)}, "empty holds no certificates"),
        ({"ca": ca, "cert": str(one.cert)}, "key is not given"),
        ({"ca": ca, "key": str(one.key)}, "cert is not given"),
        ({"ca": ca, "cert": "/nowhere", "key": str(one.key)}, "file /nowhere: no such file"),
        ({"ca": ca, "cert": str(one.cert), "key": str(other.key)}, "do not belong together"),
        ({"ca": ca, "cert": str(empty), "key": str(one.key)}, "are no certificate and key in PEM form"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            tls_context(tls)


def test_the_command_is_buildctls() -> None:
    """User, port and socket, and a host that ssh cannot take for an option."""
    assert ssh_command(Ssh("h")) == ["ssh", "--", "h", "buildctl", "dial-stdio"]
    assert ssh_command(Ssh("h", "u", 7, "/s")) == [
        *("ssh", "-l", "u", "-p", "7", "--", "h", "buildctl", "--addr", "unix:///s", "dial-stdio")
    ]


def test_the_authority_is_what_a_proxy_routes_by() -> None:
    """The server name, else host and port, as with docker buildx."""
    assert AddressEndpoint(Unix("/s")).authority == "localhost"
    assert AddressEndpoint(Tcp("h", 1)).authority == "h:1"
    assert AddressEndpoint(Tcp("h", 1), {"servername": "n"}).authority == "n"


def fake_ssh(folder: Path, script: str) -> dict[str, str]:
    """An environment in which ssh is a shell script."""
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'ssh: connect to host h port 22: refused' >&2; exit 255", "ssh: connect to host h port 22: refused$"),
        (
            "echo 'sh: buildctl: not found' >&2; exit 127",
            "ssh: the remote command buildctl failed: sh: buildctl: not fo",
        ),
        ("exit 3", "ssh: exit status 3$"),
        ("kill -9 $$", "ssh: ended by signal 9$"),
        ("exit 0", "ssh: it ended at once$"),
        ("echo welcome to this host", "the answer is not BuildKit's: b'welcome to this host"),
        ("echo asking >&2; sleep 60", "no answer within 1 s: asking$"),
    ],
)
async def test_ssh_that_fails_says_why(script: str, words: str, tmp_path: Path) -> None:
    """Its exit status and its standard error stand in the message."""
    with pytest.raises(UnreachableError, match=words):
        await SshEndpoint(Ssh("h"), fake_ssh(tmp_path, script)).connect(soon(1 if "sleep" in script else 30))


async def test_a_connection_over_ssh_that_breaks_says_why(tmp_path: Path) -> None:
    """What came before is read; the end of the program is an error unless its status is 0."""
    script = r"printf '\0\0\0\4\0\0\0\0\0more'; read line; echo gone >&2; exit 9"
    connection = await SshEndpoint(Ssh("h"), fake_ssh(tmp_path, script)).connect(soon())
    assert await connection.read() == SETTINGS + b"more"
    await connection.write(b"line\n")
    with pytest.raises(UnreachableError, match="lost the connection to ssh://h: ssh: exit status 9: gone"):
        await connection.read()
    await connection.close()


async def test_ssh_hears_no_ctrl_c_and_ends_with_the_connection(tmp_path: Path) -> None:
    """It has a session of its own, so the build can still be cancelled; nothing of it is left."""
    script = r"echo $$ >pid; printf '\0\0\0\4\0\0\0\0\0'; exec cat"
    environ = fake_ssh(tmp_path, f"cd {tmp_path}; {script}")
    connection = await SshEndpoint(Ssh("h"), environ).connect(soon())
    assert await connection.read() == SETTINGS
    pid = int((tmp_path / "pid").read_text())
    assert os.getsid(pid) == pid
    await connection.write(bytes(range(256)))
    assert await connection.read() == bytes(range(256))
    await connection.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
