"""Daemons outside of a builder's pods: at a Unix socket, or at a TCP address with or without TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping

from buildclient.base.errors import UnreachableError, map_exceptions
from buildclient.base.oserrors import reason
from buildclient.contract.address import Tcp, Unix
from buildclient.contract.patterns import pattern

__all__ = ["AddressEndpoint", "StreamConnection"]

_LOG = logging.getLogger("buildclient.daemon")
_CHUNK = 256 << 10
"""Bytes per read."""
_ERRNO = pattern(r"\[Errno (\d+)\]")
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""How an answer begins that is a TLS alert or handshake."""


class StreamConnection:
    """A connection over asyncio streams."""

    answers = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str) -> None:
        self._reader = reader
        self._writer = writer
        self._where = where
        self._heard = False

    async def read(self) -> bytes:
        """Returns the next bytes; empty at the end. Raises UnreachableError when the connection breaks."""
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as error:
            raise self._lost(error) from None
        if not self._heard:
            self._check_first(data)
        return data

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while the socket is full. Raises UnreachableError."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise self._lost(error) from None

    async def close_write(self) -> bool:
        """Half-closes the connection; returns whether the transport can: TLS cannot."""
        if not self._writer.can_write_eof():
            return False
        with contextlib.suppress(OSError):
            self._writer.write_eof()
        return True

    async def close(self) -> None:
        """Closes both directions."""
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 2)

    def _check_first(self, data: bytes) -> None:
        """Tells a port of something else from a daemon's. Raises UnreachableError."""
        self._heard = True
        if data.startswith(_TLS_RECORDS):
            raise UnreachableError(f"cannot reach BuildKit at {self._where}: it wants TLS")
        if data.startswith(b"HTTP/1."):
            raise UnreachableError(f"cannot reach BuildKit at {self._where}: it speaks HTTP/1, so it is no BuildKit")
        if not data and not self._writer.is_closing():
            raise UnreachableError(
                f"cannot reach BuildKit at {self._where}: it closed the connection without an answer",
                hint="is that BuildKit's port, and does it want TLS?",
            )

    def _lost(self, error: OSError) -> UnreachableError:
        # TLS 1.3 tells a client only now that its certificate is refused.
        what = "lost the connection to" if self._heard else "cannot reach BuildKit at"
        return UnreachableError(f"{what} {self._where}: {_reason(error)}")


class AddressEndpoint:
    """`unix:///path` or `tcp://host:port`, the latter with TLS if any of its settings is given."""

    def __init__(self, address: Unix | Tcp, tls: Mapping[str, str] | None = None) -> None:
        """`tls` holds file names under `ca`, `cert`, `key`, and a name to check under `servername`."""
        self.description = str(address)
        self._address = address
        self._tls = {key: value for key, value in (tls or {}).items() if value}

    @property
    def authority(self) -> str:
        """HTTP/2's `:authority`, by which a proxy in front of several daemons may route."""
        if isinstance(self._address, Unix):
            return "localhost"
        return self._tls.get("servername") or str(self._address).removeprefix("tcp://")

    async def connect(self, deadline: float) -> StreamConnection:
        """Opens a new connection. Raises UnreachableError when refused or at the deadline, UsageError for bad files."""
        timeout = max(0.1, deadline - asyncio.get_running_loop().time())
        what, began = f"cannot reach BuildKit at {self.description}", time.monotonic()
        _LOG.debug("connect to %s%s", self.description, " with TLS" if self._tls else "")
        faults = (
            (TimeoutError, lambda _: UnreachableError(f"{what}: no answer within {timeout:.0f} s")),
            (OSError, lambda error: UnreachableError(f"{what}: {_reason(error)}")),
            # A name that no lookup or file system takes.
            (ValueError, lambda error: UnreachableError(f"{what}: {error}")),
        )
        with map_exceptions(faults):
            reader, writer = await asyncio.wait_for(self._open(), timeout)
        _LOG.debug("connected to %s in %.0f ms", self.description, 1000 * (time.monotonic() - began))
        return StreamConnection(reader, writer, self.description)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._address
        if isinstance(address, Unix):
            # Go writes a name of the abstract namespace with an @.
            path = f"\0{address.path[1:]}" if address.path.startswith("@") else address.path
            return await asyncio.open_unix_connection(path, limit=2 * _CHUNK)
        if not self._tls:
            return await asyncio.open_connection(address.host, address.port, limit=2 * _CHUNK)
        from buildclient.daemon.tls import tls_context

        name = self._tls.get("servername") or address.host
        context = tls_context(self._tls)
        return await asyncio.open_connection(
            address.host, address.port, limit=2 * _CHUNK, ssl=context, server_hostname=name
        )


def _reason(error: OSError) -> str:
    import ssl

    if isinstance(error, ssl.SSLError):
        from buildclient.daemon.tls import tls_reason

        return tls_reason(error)
    # asyncio's own texts: "Connect call failed ('127.0.0.1', 1)", and of a name with several addresses a list of them.
    number = error.errno or next(map(int, _ERRNO.findall(str(error))), 0)
    return os.strerror(number).lower() if number > 0 else reason(error)
