"""Daemons outside Kubernetes: at a Unix socket, or at a TCP address with or without TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

from buildclient.base.errors import UnreachableError, UsageError, map_exceptions
from buildclient.base.oserrors import reason

__all__ = ["AddressEndpoint", "StreamConnection"]

_LOG = logging.getLogger("buildclient.daemon")
_CHUNK = 256 << 10
"""Bytes per read."""


class StreamConnection:
    """A connection over asyncio streams."""

    answers = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str) -> None:
        self._reader = reader
        self._writer = writer
        self._where = where

    async def read(self) -> bytes:
        """Returns the next bytes; empty at the end. Raises UnreachableError when the connection breaks."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError as error:
            raise UnreachableError(f"lost the connection to {self._where}: {error}") from None

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while the socket is full. Raises UnreachableError."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise UnreachableError(f"lost the connection to {self._where}: {error}") from None

    async def close_write(self) -> None:
        """Half-closes the connection if the transport can."""
        if self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    async def close(self) -> None:
        """Closes both directions."""
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 2)


class AddressEndpoint:
    """`unix:///path` or `tcp://host:port`, the latter with TLS when file names are given."""

    def __init__(self, address: str, tls: Mapping[str, str] | None = None) -> None:
        """`tls` holds file names under `ca`, `cert`, `key`, and a name to check under `servername`."""
        self.description = address
        self._address = address
        self._tls = tls or {}

    async def connect(self, deadline: float) -> StreamConnection:
        """Opens a new connection. Raises UnreachableError when refused or at the deadline."""
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        what, began = f"cannot reach BuildKit at {self._address}", time.monotonic()
        _LOG.debug("connect to %s%s", self._address, " with TLS" if self._tls else "")
        faults = (
            (TimeoutError, lambda _: UnreachableError(f"{what}: no answer within {timeout:.0f} s")),
            (OSError, lambda error: UnreachableError(f"{what}: {reason(error)}")),
            # A name that no lookup or file system takes.
            (ValueError, lambda error: UnreachableError(f"{what}: {error}")),
        )
        with map_exceptions(faults):
            reader, writer = await asyncio.wait_for(self._open(), timeout)
        _LOG.debug("connected to %s in %.0f ms", self._address, 1000 * (time.monotonic() - began))
        return StreamConnection(reader, writer, self._address)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        scheme, _, rest = self._address.partition("://")
        if scheme == "unix":
            return await asyncio.open_unix_connection(rest, limit=2 * _CHUNK)
        host, _, port = rest.rpartition(":")
        if scheme != "tcp" or not (port.isascii() and port.isdigit()):
            raise UsageError(f"address {self._address} must be unix:///PATH or tcp://HOST:PORT")
        if not self._tls:
            return await asyncio.open_connection(host.strip("[]"), int(port), limit=2 * _CHUNK)
        import ssl

        ssl_context = ssl.create_default_context(cafile=self._tls.get("ca"))
        ssl_context.set_alpn_protocols(["h2"])
        if self._tls.get("cert"):
            ssl_context.load_cert_chain(self._tls["cert"], self._tls.get("key"))
        name = self._tls.get("servername") or host.strip("[]")
        return await asyncio.open_connection(
            host.strip("[]"), int(port), limit=2 * _CHUNK, ssl=ssl_context, server_hostname=name
        )
