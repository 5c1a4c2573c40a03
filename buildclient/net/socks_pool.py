"""urllib3's connections through a SOCKS5 proxy; its own support needs PySocks."""

from __future__ import annotations

import socket
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from buildclient.net.dial import dial

__all__ = ["socks_pool"]

_TIMEOUT = 15.0
"""Timeout of each wait in seconds, if the settings give none."""


def socks_pool(proxy: str, **settings: Any) -> urllib3.PoolManager:
    """Returns a PoolManager through this proxy; `settings` are those of urllib3's PoolManager."""

    def connect(connection: HTTPConnection) -> socket.socket:
        seconds = connection.timeout if isinstance(connection.timeout, int | float) else _TIMEOUT
        try:
            return dial(proxy, connection.host, connection.port or connection.default_port, seconds)
        except OSError as error:
            raise NewConnectionError(connection, str(error)) from None

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    manager = urllib3.PoolManager(**settings)
    # urllib3's own SOCKS support uses the same two hooks.
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager
