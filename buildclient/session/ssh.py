"""moby.sshforward.v1.SSH: the SSH agents and keys that a build names, for list and sign alone.

Reference: session/sshforward of BuildKit. Each stream of the daemon is a connection of a step's `ssh`, and has a
connection of its own to the agent. Requests are read here, message by message: an agent is only ever asked to list its
keys or to sign, never to add, remove, lock or unlock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.base.oserrors import reason
from buildclient.base.threads import in_thread
from buildclient.request.ssh import DEFAULT_SSH, SshForward, check_ssh
from buildclient.session import agentwire
from buildclient.session.call import Call, Code, Service, Status, only_message
from buildclient.session.wire import WireError, bytes_message, read_bytes_message

if TYPE_CHECKING:
    from buildclient.session.sshkeys import KeyAgent, SshKey

__all__ = ["AGENT_TIMEOUT", "SshAgents"]

AGENT_TIMEOUT = 60.0
"""Seconds that an agent may take for an answer: it may ask a person to confirm."""
_CONNECT_TIMEOUT = 2.0
"""Seconds to connect to an agent's socket, as in BuildKit."""
_MAX_KEY_FILE = 100 << 10
"""Bytes of a key's file that are read, as in BuildKit."""
_KEY_TIMEOUT = 60.0
"""Seconds for a key that comes through a pipe."""
_PREFIX = "/moby.sshforward.v1.SSH/"

_Ask = Callable[[bytes], Awaitable[bytes]]
_Open = Callable[[], AbstractAsyncContextManager[_Ask]]


class SshAgents:
    """The agents of one build, for the sessions of all of its nodes."""

    def __init__(
        self, forwards: Sequence[SshForward], environ: Mapping[str, str], *, timeout: float = AGENT_TIMEOUT
    ) -> None:
        """SSH_AUTH_SOCK is that of `environ`; `timeout` is in seconds."""
        self._forwards = forwards
        self._socket = environ.get("SSH_AUTH_SOCK", "")
        self._timeout = timeout
        self._agents: dict[bytes, _Open] = {}

    async def load(self) -> None:
        """Finds the sockets and reads the keys, before the build. Raises InvalidBuild."""
        if not self._forwards:
            return
        from buildclient.session.sshkeys import KeyAgent, KeyFileError

        check_ssh(self._forwards)
        for forward in self._forwards:
            shown = f"failed to convert agent config {{{forward.id} [{' '.join(forward.paths)}] false}}"
            paths = [self._socket] if forward.paths in ((), ("",)) else [*forward.paths]
            if not paths[0]:
                raise InvalidBuild(f"{shown}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
            try:
                async with asyncio.timeout(_KEY_TIMEOUT):
                    found = await in_thread(lambda paths=paths: _source(paths))  # type: ignore[misc]
            except TimeoutError:
                raise InvalidBuild(f"{shown}: no key came for {_KEY_TIMEOUT:.0f} s") from None
            except KeyFileError as error:
                where = f"failed to convert agent config for ID: {go_quoted(forward.id)}"
                raise InvalidBuild(f"{shown}: {where}: {error}") from None
            self._agents[(forward.id or DEFAULT_SSH).encode("utf-8", "surrogateescape")] = (
                _to_socket(found, self._timeout) if isinstance(found, str) else _to_keys(KeyAgent(found))
            )

    def service(self) -> Service:
        """Returns the service."""
        return {f"{_PREFIX}CheckAgent": self._check, f"{_PREFIX}ForwardAgent": self._forward}

    def _agent(self, name: bytes) -> _Open:
        opens = self._agents.get(name)
        if opens is None:
            raise Status(Code.UNKNOWN, f"unset ssh forward key {name.decode('utf-8', 'backslashreplace')}")
        return opens

    async def _check(self, call: Call) -> None:
        from buildclient.proto import secrets_pb2 as pb

        self._agent(pb.CheckAgentRequest.FromString(await only_message(call)).id or DEFAULT_SSH.encode())
        await call.write(b"")

    async def _forward(self, call: Call) -> None:
        name = (call.metadata.get("buildkit.ssh.id") or ("",))[0] or DEFAULT_SSH
        async with self._agent(name.encode("utf-8", "surrogateescape"))() as ask:
            requests = agentwire.AgentMessages()
            try:
                while (message := await call.read()) is not None:
                    for request in requests.feed(read_bytes_message(message)):
                        permitted = request[0] in agentwire.ANSWERS
                        answer = await ask(request) if permitted else agentwire.FAILURE
                        await call.write(bytes_message(agentwire.packed(answer)))
            except (agentwire.AgentError, WireError) as error:
                raise Status(Code.INVALID_ARGUMENT, str(error)) from None


def _source(paths: Sequence[str]) -> str | list[SshKey]:
    """Returns an agent's socket or the keys of files. Raises KeyFileError in the words of docker buildx."""
    from buildclient.session.sshkeys import KeyFileError

    socket = ""
    keys: list[SshKey] = []
    for path in paths:
        if socket:
            raise KeyFileError("only single socket allowed")
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else "invalid argument"
            raise KeyFileError(f"stat {path}: {why}") from None
        if stat.S_ISSOCK(mode):
            socket = path
        else:
            keys.append(_key(path))
    if socket and keys:
        raise KeyFileError("invalid combination of keys and sockets")
    return socket or keys


def _key(path: str) -> SshKey:
    from buildclient.session.sshkeys import KeyFileError, read_key

    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_KEY_FILE)
    except IsADirectoryError as error:
        raise KeyFileError(f"failed to read {path}: read {path}: {reason(error)}") from None
    except OSError as error:
        raise KeyFileError(f"failed to open {path}: open {path}: {reason(error)}") from None
    try:
        return read_key(text)
    except KeyFileError as error:
        raise KeyFileError(f"failed to parse {path}: {error}") from None


def _to_keys(agent: KeyAgent) -> _Open:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[_Ask]:
        async def ask(request: bytes) -> bytes:
            # A large RSA key takes long enough for a thread.
            return await in_thread(lambda: agent.answer(request))

        yield ask

    return opened


def _to_socket(path: str, timeout: float) -> _Open:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[_Ask]:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(path)
        except TimeoutError:
            raise Status(Code.UNKNOWN, f"failed to connect to {path}: no answer for {_CONNECT_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise Status(Code.UNKNOWN, f"failed to connect to {path}: {reason(error)}") from None

        async def ask(request: bytes) -> bytes:
            try:
                async with asyncio.timeout(timeout):
                    writer.write(agentwire.packed(request))
                    await writer.drain()
                    return await _answer(reader, request[0])
            except TimeoutError:
                raise Status(Code.UNKNOWN, f"the ssh agent at {path} gave no answer for {timeout:.0f} s") from None
            except (OSError, asyncio.IncompleteReadError):
                raise Status(Code.UNKNOWN, f"the ssh agent at {path} closed the connection") from None

        try:
            yield ask
        finally:
            # Not closed in order: an agent that reads nothing would hold what is buffered.
            writer.transport.abort()

    return opened


async def _answer(reader: asyncio.StreamReader, asked: int) -> bytes:
    """An agent's answer, if it is one to what was asked; its failure otherwise. Raises AgentError."""
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    agentwire.check_length(length)
    answer = await reader.readexactly(length)
    return answer if answer[0] == agentwire.ANSWERS[asked] else agentwire.FAILURE
