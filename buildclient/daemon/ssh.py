"""Daemons on a host that ssh reaches: the standard streams of `ssh HOST buildctl dial-stdio` are the connection.

As buildctl and docker do it: ssh runs in a session of its own, so that a Ctrl-C of the terminal does not end it before
the build is cancelled, and so that it cannot ask for a password; keys and known hosts are ssh's matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence

from buildclient.base.errors import UnreachableError
from buildclient.base.oserrors import reason
from buildclient.base.streams import NotBuildKit, first_frame
from buildclient.contract.address import Ssh

__all__ = ["ProcessConnection", "SshEndpoint", "ssh_command"]

_LOG = logging.getLogger("buildclient.daemon")
_CHUNK = 256 << 10
"""Bytes per read."""
_STDERR_LIMIT = 4096
"""Bytes of standard error to keep, from its end."""
_SAID = 500
"""Characters of it that a message repeats."""
_END_GRACE = 2.0
"""Seconds for the program to end by itself before it is killed."""
_SSH_FAILED = 255
"""ssh's exit status for its own errors."""
_NOT_FOUND = 127
"""A shell's exit status for a command that there is not."""


def ssh_command(address: Ssh) -> list[str]:
    """Returns the command with the arguments that buildctl gives."""
    user = ["-l", address.user] if address.user else []
    port = ["-p", str(address.port)] if address.port else []
    socket = ["--addr", f"unix://{address.socket}"] if address.socket else []
    return ["ssh", *user, *port, "--", address.host, "buildctl", *socket, "dial-stdio"]


class SshEndpoint:
    """The daemon on one host."""

    authority = "localhost"

    def __init__(self, address: Ssh, environ: Mapping[str, str]) -> None:
        """`environ` is the environment of the program."""
        self.description = str(address)
        self._command = ssh_command(address)
        self._environ = environ

    async def connect(self, deadline: float) -> ProcessConnection:
        """Starts ssh and waits for the daemon's first frame. Raises UnreachableError."""
        what, began = f"cannot reach BuildKit at {self.description}", time.monotonic()
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        _LOG.debug("run %s", " ".join(self._command))
        try:
            connection = await ProcessConnection.start(self._command, self._environ, self.description)
        except FileNotFoundError:
            raise UnreachableError(f"{what}: there is no program ssh on PATH") from None
        except OSError as error:
            raise UnreachableError(f"{what}: cannot run ssh: {reason(error)}") from None
        try:
            async with asyncio.timeout(timeout):
                await connection.await_daemon()
        except TimeoutError:
            said = connection.told(f"no answer within {timeout:.0f} s")
            raise UnreachableError(f"{what}: {said}") from None
        except _Ended as error:
            raise UnreachableError(f"{what}: {error}") from None
        finally:
            if not connection.spoken:
                await connection.close()
        _LOG.debug("%s: BuildKit answers after %.0f ms", self.description, 1000 * (time.monotonic() - began))
        return connection


class ProcessConnection:
    """A connection over a program's standard streams; fulfils `buildclient.base.streams.Connection`."""

    answers = None

    def __init__(self, process: asyncio.subprocess.Process, program: str, where: str) -> None:
        self._process = process
        self._program = program
        self._where = where
        self._stderr = b""
        self._listening = asyncio.ensure_future(self._listen())
        self._first: list[bytes] = []
        self.spoken = False
        """Whether the daemon's first frame has arrived."""

    @classmethod
    async def start(cls, command: Sequence[str], environ: Mapping[str, str], where: str) -> ProcessConnection:
        """Runs the program. Raises OSError."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environ, start_new_session=True, limit=2 * _CHUNK
        )
        return cls(process, command[0], where)

    async def await_daemon(self) -> None:
        """Waits for the daemon's SETTINGS frame and keeps it for `read`. Raises _Ended for anything else."""
        try:
            self._first = await first_frame(self._receive)
        except NotBuildKit as error:
            raise _Ended(self.told(str(error))) from None
        if not self._first:
            raise _Ended(self.told("it ended at once"))
        self.spoken = True

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises UnreachableError when the program failed."""
        if self._first:
            return self._first.pop(0)
        try:
            return await self._receive()
        except _Ended as error:
            raise self._lost(str(error)) from None

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while the pipe is full. Raises UnreachableError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except OSError:
            raise self._lost(await self._end()) from None

    async def close_write(self) -> bool:
        """Ends the program's standard input."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return True

    async def close(self) -> None:
        """Ends the program; may be called twice."""
        await self.close_write()
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Its children too (ProxyCommand): it leads its process group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _END_GRACE)
                break
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    def told(self, text: str) -> str:
        """The text, with what the program printed to standard error."""
        said = " ".join(self._stderr.decode(errors="replace").split())[-_SAID:].removeprefix(f"{self._program}: ")
        return ": ".join(part for part in (self._program, text, said) if part)

    async def _receive(self) -> bytes:
        assert self._process.stdout is not None
        if data := await self._process.stdout.read(_CHUNK):
            return data
        ended = await self._end()
        if self._process.returncode != 0:
            raise _Ended(ended)
        return b""

    async def _end(self) -> str:
        """Waits for the end; returns how the program ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._process.wait(), asyncio.shield(self._listening)), _END_GRACE)
        status = self._process.returncode
        if status == _NOT_FOUND:
            return self.told("the remote command buildctl failed")
        if status is None or status == 0:
            return self.told("it closed the connection")
        if status == _SSH_FAILED and self._stderr:
            return self.told("")
        return self.told(f"exit status {status}" if status > 0 else f"ended by signal {-status}")

    def _lost(self, text: str) -> UnreachableError:
        return UnreachableError(f"lost the connection to {self._where}: {text}")

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(_STDERR_LIMIT):
            self._stderr = (self._stderr + data)[-_STDERR_LIMIT:]


class _Ended(Exception):
    """The program ended; the message has the reason."""
