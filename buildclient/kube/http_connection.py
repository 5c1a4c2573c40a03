"""Connections of `http.client` over sockets that are made elsewhere, such as by a proxy."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from typing import cast

from buildclient.net.hostname import encoded

__all__ = ["Http", "Https", "read_body", "shut"]

Reach = Callable[[], socket.socket]
"""Makes a socket to the host. Raises OSError."""


class Http(http.client.HTTPConnection):
    """Plain HTTP."""

    def __init__(self, host: str, port: int, timeout: float, reach: Reach) -> None:
        super().__init__(host, port, timeout=timeout)
        self._reach = reach

    def connect(self) -> None:
        """Connects. Raises OSError."""
        self.sock = self._reach()


class Https(http.client.HTTPSConnection):
    """HTTPS with a given server name (kubeconfig's `tls-server-name`)."""

    def __init__(
        self, host: str, port: int, timeout: float, reach: Reach, ssl_context: ssl.SSLContext, name: str
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=ssl_context)
        self._reach = reach
        self._ssl_context = ssl_context
        self._name = name

    def connect(self) -> None:
        """Connects and speaks TLS, inside the proxy's if need be. Raises OSError."""
        self.sock = self._reach()
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                # `ssl` alone puts TLS on a file handle, not into TLS.
                from urllib3.util.ssltransport import SSLTransport

                self.sock = cast(socket.socket, SSLTransport(self.sock, self._ssl_context, server_hostname=self._name))
            else:
                self.sock = self._ssl_context.wrap_socket(self.sock, server_hostname=encoded(self._name))
        except BaseException:
            self.close()
            raise


def read_body(response: http.client.HTTPResponse, size: int) -> bytes:
    """The first `size` bytes of a response's body, without its compression by gzip.

    Raises OSError and HTTPException as `http.client` does, IncompleteRead for a body that ends before its time, and
    ValueError for one that is not gzip although it says so.
    """
    data = response.read(size)
    if response.length and len(data) < size:
        # http.client tells of the end before its time only where it is asked for no size.
        raise http.client.IncompleteRead(data, response.length)
    if response.getheader("Content-Encoding", "").lower() != "gzip":
        return data
    import zlib

    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(data, size)
    except zlib.error:
        raise ValueError("the body is not gzip") from None
    if not inflate.eof and len(plain) < size:
        raise http.client.IncompleteRead(plain)
    return plain


def shut(sock: socket.socket) -> None:
    """Shuts down the socket below TLS, so that a thread blocked in it returns."""
    below = getattr(sock, "socket", sock)
    try:
        socket.socket.shutdown(below, socket.SHUT_RDWR)
    except OSError:
        return
