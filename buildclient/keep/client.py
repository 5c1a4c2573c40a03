"""A command's way to the keeper, and past it: what the keeper does not answer, at once and well, is done without it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.errors import UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.contract.jsontext import MAX_SIZE, read_json
from buildclient.keep import wire
from buildclient.keep.rules import keeper_key, private_folder, signature, socket_path
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import Pod
from buildclient.kube.pods import KubernetesPods
from buildclient.kube.tunnel import SpareConnection
from buildclient.net.owner import is_own

__all__ = ["Keeper", "KeptPods"]

_LOG = logging.getLogger("buildclient.keep")
_ANSWER = 2.0
"""Seconds for a keeper's answer; one that is slower is left alone."""
_CHUNK = 128 << 10


class Keeper:
    """The keeper of one cluster and identity, if there is one."""

    def __init__(self, access: Access, files: Sequence[str], environ: Mapping[str, str]) -> None:
        """`files` are the kubeconfig's."""
        # As absolute paths: the keeper is in another folder.
        self._environ = {**environ, "KUBECONFIG": os.pathsep.join(map(os.path.abspath, files))}
        self._context = access.context
        self.key = keeper_key(access, signature(access, files), environ)
        self.path = socket_path(environ, self.key)
        self._usable = bool(self.path) and sys.platform == "linux" and bool(files)
        self.patience = _ANSWER
        """Seconds for an answer."""
        self.answered = False
        """Whether it has answered this command."""

    async def ask(
        self, request: Mapping[str, Any]
    ) -> tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns its answer, and the streams behind. Raises OSError or ValueError where it does not answer well."""
        if not self.there:
            raise ConnectionError("there is none")
        writer = None
        try:
            async with asyncio.timeout(self.patience):
                if not private_folder(os.path.dirname(self.path)):
                    raise ConnectionError("its folder is not this user's alone")
                reader, writer = await asyncio.open_unix_connection(self.path, limit=2 * _CHUNK)
                if not is_own(writer.get_extra_info("socket")):
                    raise ConnectionError("it is somebody else's")
                writer.write(wire.line(request))
                answer = wire.read_line(await reader.readuntil(b"\n"))
                if "error" in answer:
                    raise ConnectionError(str(answer["error"]))
        except BaseException as error:
            if writer:
                writer.transport.abort()
            if isinstance(error, asyncio.IncompleteReadError | asyncio.LimitOverrunError | EOFError):
                raise ConnectionError("a broken answer") from None
            raise
        self.answered = True
        return answer, reader, writer

    def odd(self, error: Exception) -> None:
        """Leaves it alone for the rest of the command."""
        if self.there:
            _LOG.debug("the keeper is not used: %s", error or type(error).__name__)
            self._usable = False

    @property
    def there(self) -> bool:
        """Whether one may answer."""
        return self._usable and os.path.exists(self.path)

    async def end(self) -> bool:
        """Ends it; returns whether there was one."""
        try:
            _, _, writer = await self.ask({"end": True})
        except (OSError, ValueError):
            return False
        writer.close()
        return True

    def start(self, seconds: float, pods: Sequence[wire.Tunnel], lists: Sequence[wire.Get] = ()) -> None:
        """Starts one in the background that holds tunnels into these pods, unless this command has used one.

        It watches `lists` of pods.
        """
        if self.answered or not self._usable or not pods or not private_folder(os.path.dirname(self.path), make=True):
            return
        asked = [*(one.asked for one in pods), *(one.asked for one in lists)]
        command = [
            sys.executable,
            "-m",
            "buildclient.keep",
            self.key,
            self._context,
            str(seconds),
            *(wire.line(one).decode() for one in asked),
        ]
        try:
            process = subprocess.Popen(
                command,
                env=self._environ,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            _LOG.debug("the keeper does not start: %s", error)
            return
        _LOG.debug("connections are kept for %.0f s by process %d", seconds, process.pid)
        # It leaves this process's care by itself.
        process.returncode = 0


class KeptApi(KubeApi):
    """A cluster's API, by the keeper's connections where there are some."""

    def __init__(self, access: Access, environ: Mapping[str, str], keeper: Keeper) -> None:
        super().__init__(access, environ)
        self.keeper = keeper

    async def get(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        return await self._got(path, query, what, watched=False)

    async def recent(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        return await self._got(path, query, what, watched=True)

    async def _got(self, path: str, query: Mapping[str, str], what: str, *, watched: bool) -> dict[str, Any]:
        try:
            asked = wire.Get(path, tuple(query.items()), watched).asked
            answer, reader, writer = await self.keeper.ask(asked)
            try:
                size = answer.get("size")
                if not isinstance(size, int) or not 0 <= size <= MAX_SIZE:
                    raise ValueError("a broken answer")
                async with asyncio.timeout(self.keeper.patience):
                    value = read_json(await reader.readexactly(size))
            finally:
                writer.close()
            if isinstance(value, dict):
                _LOG.debug("GET %s: by the keeper%s", path, ", which watches" if answer.get("watched") is True else "")
                return value
        except (OSError, ValueError, EOFError) as error:
            self.keeper.odd(error)
        return await super().get(path, query, what)


class KeptPods(KubernetesPods):
    """The pods of one cluster, through the keeper's tunnels where there are some."""

    def __init__(self, access: Access, files: Sequence[str], environ: Mapping[str, str]) -> None:
        self.keeper = Keeper(access, files, environ)
        super().__init__(KeptApi(access, environ, self.keeper))

    def endpoint(self, pod: Pod, container: str, spare: SpareConnection | None = None) -> Endpoint:
        namespace = pod.namespace or self.api.access.namespace or "default"
        plain = super().endpoint(pod, container, spare)
        return _KeptEndpoint(self.keeper, plain, wire.Tunnel(namespace, pod.name, container))

    def spare(self) -> SpareConnection | None:
        """None where a keeper has tunnels."""
        return None if self.keeper.there else super().spare()


class _KeptEndpoint:
    """The daemon in a pod; implements Endpoint."""

    def __init__(self, keeper: Keeper, plain: Endpoint, tunnel: wire.Tunnel) -> None:
        self._keeper, self._plain, self._tunnel = keeper, plain, tunnel

    @property
    def description(self) -> str:
        return self._plain.description

    @property
    def authority(self) -> str:
        return self._plain.authority

    async def connect(self, deadline: float) -> Connection:
        try:
            _, reader, writer = await self._keeper.ask(self._tunnel.asked)
        except (OSError, ValueError) as error:
            self._keeper.odd(error)
            return await self._plain.connect(deadline)
        _LOG.debug("pod %s: through the keeper", self._tunnel.pod)
        return _KeptConnection(reader, writer, self._plain.description)


class _KeptConnection:
    """A tunnel that the keeper holds; implements Connection."""

    answers = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str) -> None:
        self._reader, self._writer, self._where = reader, writer, where

    async def read(self) -> bytes:
        try:
            data = await self._reader.read(_CHUNK)
        except OSError:
            data = b""
        if not data:
            raise UnreachableError(f"lost the connection to {self._where}: the kept tunnel ended")
        return data

    async def write(self, data: bytes | memoryview) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise UnreachableError(f"lost the connection to {self._where}: the kept tunnel ended") from None

    async def close_write(self) -> bool:
        self._writer.write_eof()
        return True

    async def close(self) -> None:
        self._writer.transport.abort()
