"""Daemons outside of Kubernetes: a Unix socket, or a TCP address with or without TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from buildclient.base.errors import UnreachableError, UsageError

__all__ = ["AddressEndpoint", "StreamConnection"]

_CHUNK = 256 << 10


class StreamConnection:
    """A connection over asyncio's streams."""

    answers = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str) -> None:
        self._reader = reader
        self._writer = writer
        self._where = where

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises UnreachableError when it breaks."""
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
        """Says that no more will be written, where the transport can."""
        if self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    async def close(self) -> None:
        """Ends both directions."""
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
        """A new connection. Raises UnreachableError at the deadline or when it is refused."""
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        try:
            reader, writer = await asyncio.wait_for(self._open(), timeout)
        except (TimeoutError, OSError) as error:
            reason = str(error) or f"no answer within {timeout:.0f} s"
            raise UnreachableError(f"cannot reach BuildKit at {self._address}: {reason}") from None
        return StreamConnection(reader, writer, self._address)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        scheme, _, rest = self._address.partition("://")
        if scheme == "unix":
            return await asyncio.open_unix_connection(rest, limit=2 * _CHUNK)
        host, _, port = rest.rpartition(":")
        if scheme != "tcp" or not port.isdigit():
            raise UsageError(f"address {self._address} must be unix:///PATH or tcp://HOST:PORT")
        if not self._tls:
            return await asyncio.open_connection(host.strip("[]"), int(port), limit=2 * _CHUNK)
        import ssl

        context = ssl.create_default_context(cafile=self._tls.get("ca"))
        context.set_alpn_protocols(["h2"])
        if self._tls.get("cert"):
            context.load_cert_chain(self._tls["cert"], self._tls.get("key"))
        name = self._tls.get("servername") or host.strip("[]")
        return await asyncio.open_connection(
            host.strip("[]"), int(port), limit=2 * _CHUNK, ssl=context, server_hostname=name
        )
