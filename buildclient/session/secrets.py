"""moby.buildkit.secrets.v1.Secrets: the secrets that a build names, and no others.

Reference: session/secrets of BuildKit. A daemon that asks for another id gets NOT_FOUND, which makes an optional secret
an absent one. No secret is in a log or in an error.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping

from buildclient.base.errors import InvalidBuild
from buildclient.base.files import read_bounded
from buildclient.base.oserrors import reason
from buildclient.base.threads import in_thread
from buildclient.request.secrets import MAX_SECRET, Secret, SecretCall, SecretEnv, SecretFile, SecretValue
from buildclient.session.call import Call, Code, Service, Status, only_message

__all__ = ["SECRET_TIMEOUT", "Secrets"]

SECRET_TIMEOUT = 300.0
"""Seconds that a function or a pipe may take to give a secret; a person may be asked for it."""


class Secrets:
    """The secrets of one build, for the sessions of all of its nodes."""

    def __init__(
        self, sources: Mapping[str, Secret], environ: Mapping[str, str], *, timeout: float = SECRET_TIMEOUT
    ) -> None:
        """Variables are those of `environ`; `timeout` is in seconds."""
        self._sources = {name.encode("utf-8", "surrogateescape"): source for name, source in sources.items()}
        self._environ = environ
        self._timeout = timeout
        self._kept: dict[bytes, asyncio.Task[bytes]] = {}

    def check(self) -> None:
        """Checks what can be checked before a build: files, variables, sizes. Raises InvalidBuild."""
        for name, source in self._sources.items():
            shown = name.decode("utf-8", "surrogateescape")
            size = 0
            if isinstance(source, SecretFile):
                size = _checked_file(shown, source.path)
            elif isinstance(source, SecretEnv):
                if source.name not in self._environ:
                    raise InvalidBuild(f"secret {shown}: the environment has no variable {source.name}")
                size = len(_variable(self._environ, source.name))
            elif isinstance(source, SecretValue):
                size = len(source.value)
            if size > MAX_SECRET:
                raise InvalidBuild(f"secret {shown} too big. max size {MAX_SECRET >> 10}KiB")

    def service(self) -> Service:
        """Returns the service."""
        return {"/moby.buildkit.secrets.v1.Secrets/GetSecret": self._get}

    async def _get(self, call: Call) -> None:
        from buildclient.proto import secrets_pb2 as pb

        name = pb.GetSecretRequest.FromString(await only_message(call)).id
        source = self._sources.get(name)
        if source is None:
            raise Status(Code.NOT_FOUND, "not found")
        shown = name.decode("utf-8", "backslashreplace")
        try:
            async with asyncio.timeout(self._timeout):
                data = await self._read(name, source)
        except TimeoutError:
            raise Status(Code.UNKNOWN, f"secret {shown}: nothing came for {self._timeout:.0f} s") from None
        except OSError as error:
            raise Status(Code.UNKNOWN, f"secret {shown}: cannot read its file: {reason(error)}") from None
        if len(data) > MAX_SECRET:
            raise Status(Code.UNKNOWN, f"secret {shown}: invalid secret size {len(data)}")
        await call.write(pb.GetSecretResponse(data=data).SerializeToString())

    async def _read(self, name: bytes, source: Secret) -> bytes:
        if isinstance(source, SecretValue):
            return source.value
        if isinstance(source, SecretEnv):
            return _variable(self._environ, source.name)
        if isinstance(source, SecretFile) and os.path.isfile(source.path):
            return read_bounded(source.path, MAX_SECRET)
        # A function is called once, and a pipe can be read once, however many nodes ask.
        if name not in self._kept:
            self._kept[name] = asyncio.ensure_future(_read_once(source))
            # Looked at, so that asyncio does not report one that nobody waits for any more.
            self._kept[name].add_done_callback(lambda task: task.cancelled() or task.exception())
        task = self._kept[name]
        await asyncio.wait({task})
        return task.result()


async def _read_once(source: SecretFile | SecretCall) -> bytes:
    if isinstance(source, SecretFile):
        path = source.path
        return await in_thread(lambda: read_bounded(path, MAX_SECRET))
    try:
        value = await in_thread(source.function)
    except Exception as error:
        # The text of a foreign exception may hold the secret.
        raise Status(Code.UNKNOWN, f"the function of a secret raised {type(error).__name__}") from None
    if not isinstance(value, (bytes, bytearray)):
        raise Status(Code.UNKNOWN, f"the function of a secret must return bytes, not {type(value).__name__}")
    return bytes(value)


def _variable(environ: Mapping[str, str], name: str) -> bytes:
    return environ.get(name, "").encode("utf-8", "surrogateescape")


def _checked_file(name: str, path: str) -> int:
    """Returns a file's size, 0 for a pipe or a device. Raises InvalidBuild."""
    try:
        about = os.stat(path)
        if stat.S_ISREG(about.st_mode):
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            return about.st_size
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "invalid argument"
        raise InvalidBuild(f"failed to stat {path}: stat {path}: {why}") from None
    if stat.S_ISDIR(about.st_mode):
        raise InvalidBuild(f"secret {name}: {path} is a directory")
    return 0
