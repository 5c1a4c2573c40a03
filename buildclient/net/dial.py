"""Opens a blocking socket to a host through a proxy: HTTP CONNECT, with or without TLS, or SOCKS5."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from buildclient.contract.urls import bracketed
from buildclient.net.proxy import ProxyRefused, of_proxy, proxy_headers, read_proxy
from buildclient.net.socks import SocksRefused, socks5

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["dial"]

_MAX_HEAD = 64 << 10
"""Maximum bytes of a response to CONNECT."""


def dial(proxy: str, host: str, port: int, timeout: float, ssl_context: SSLContext | None = None) -> socket.socket:
    """Returns a socket connected to `host:port`; `ssl_context` is for TLS with the proxy.

    `timeout` is in seconds, for each wait. Raises OSError, whose text names the proxy without its password.
    """
    place = read_proxy(proxy)
    sock: socket.socket | None = None
    try:
        sock = socket.create_connection((place.host, place.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if place.scheme == "https":
            sock = _ssl_context(ssl_context).wrap_socket(sock, server_hostname=place.host)
        if place.is_socks:
            _socks(sock, proxy, host, port)
        else:
            _connect(sock, proxy, f"{bracketed(host)}:{port}")
    except OSError as error:
        if sock is not None:
            sock.close()
        raise of_proxy(proxy, error) from None
    return sock


def _ssl_context(ssl_context: SSLContext | None) -> SSLContext:
    import ssl

    return ssl_context or ssl.create_default_context()


def _connect(sock: socket.socket, proxy: str, address: str) -> None:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    lines += [f"{name}: {value}" for name, value in proxy_headers(proxy).items()]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    # Read no byte further: the rest belongs to the server.
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(sock, 1)
        if len(head) > _MAX_HEAD:
            raise ProxyRefused("the answer's head is too long")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, said = status.partition(" ")
    if not version.startswith("HTTP/"):
        raise ProxyRefused("it speaks no HTTP")
    if said[:3] != "200":
        raise ProxyRefused(f"it refuses the connection: {said}")


def _socks(sock: socket.socket, proxy: str, host: str, port: int) -> None:
    place = read_proxy(proxy)
    steps = socks5(host, port, place.username, place.password)
    try:
        data, size = next(steps)
        while True:
            sock.sendall(data)
            data, size = steps.send(_exactly(sock, size))
    except StopIteration:
        return
    except SocksRefused as error:
        raise ProxyRefused(str(error)) from None


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("it closed the connection")
        data += piece
    return data
