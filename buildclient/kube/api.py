"""Requests to the Kubernetes API over `http.client`, in threads: reading objects, and watching a list.

Errors come out as one line that names context and namespace; for 401 and 403 it says what is missing.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.base.jsontext import read_json
from buildclient.base.proxy import proxy_for, proxy_headers, redacted
from buildclient.kube.credentials import Authority
from buildclient.kube.kubeconfig import Access

__all__ = ["ApiError", "KubeApi", "api_failure"]

_CONNECT_TIMEOUT = 10.0
"""Seconds for one try to connect, and for an answer to begin."""


_NOT_MENDED = (401, 403)
"""Statuses that another try does not mend: credentials and rights."""


class ApiError(UnreachableError):
    """An answer of the cluster that is no success; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        if status in _NOT_MENDED:
            self.exit_status = ConfigurationError.exit_status


class KubeApi:
    """One cluster's API."""

    def __init__(self, access: Access, environ: Mapping[str, str] | None = None) -> None:
        self.access = access
        self.authority = Authority(access, environ)
        self.proxy = proxy_for(access.server, access.proxy_url, os.environ if environ is None else environ)

    @property
    def where(self) -> str:
        """The cluster, for messages."""
        return f'context "{self.access.context}"' if self.access.context else self.access.server

    def target(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
        """The path and query of a request: below the server's own path, while its query is dropped as by client-go."""
        prefix = urlsplit(self.access.server).path.rstrip("/")
        return f"{prefix}{path}" + (f"?{urlencode(query)}" if query else "")

    async def get(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """An object or list. `what` says in messages what was wanted. Raises UnreachableError, ApiError."""
        return await asyncio.to_thread(self._get, path, query, what)

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """As `get`, in a thread of the caller's. Raises UnreachableError, ApiError."""
        return self._get(path, query, what)

    async def watch(
        self, path: str, query: Mapping[str, str], what: str, seconds: float, seen: Callable[[dict[str, Any]], bool]
    ) -> bool:
        """Calls `seen` with each event until it says True, or `seconds` are over (False).

        Raises ApiError (410 where the list must be read anew) and UnreachableError.
        """
        connection = self._connection()
        bounded = {**query, "watch": "1", "timeoutSeconds": str(max(1, int(seconds)))}
        loop = asyncio.get_running_loop()
        found: asyncio.Future[bool] = loop.create_future()
        sockets: list[socket.socket] = []

        def settle(result: bool | BaseException) -> None:
            if found.done():
                return
            if isinstance(result, BaseException):
                found.set_exception(result)
            else:
                found.set_result(result)

        def take(event: dict[str, Any]) -> None:
            if not found.done() and seen(event):
                found.set_result(True)

        def read() -> None:
            try:
                connection.connect()
                # Kept apart: http.client forgets the socket of a response that ends with its connection.
                sockets.append(connection.sock)
                response = self._send(connection, path, bounded, what)
                sockets.append(connection.sock or sockets[-1])
                sockets[-1].settimeout(seconds + _CONNECT_TIMEOUT)
                for line in response:
                    event = read_json(line)
                    if event.get("type") == "ERROR":
                        status = event.get("object") or {}
                        raise ApiError(f"{what}: {status.get('message')}", int(status.get("code") or 500))
                    loop.call_soon_threadsafe(take, event)
                result: bool | BaseException = False
            except UnreachableError as error:
                result = error
            except (OSError, http.client.HTTPException, ValueError) as error:
                result = self._broken(error, what)
            loop.call_soon_threadsafe(settle, result)

        thread = asyncio.ensure_future(asyncio.to_thread(read))
        try:
            return await asyncio.wait_for(found, seconds)
        except TimeoutError:
            return False
        finally:
            # A thread that waits for the next line wakes up when its socket ends.
            for sock in sockets:
                _shut(sock)
            await asyncio.gather(thread, return_exceptions=True)
            connection.close()

    def _get(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        connection = self._connection()
        try:
            value = read_json(self._send(connection, path, query, what).read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken(error, what) from None
        finally:
            connection.close()
        if not isinstance(value, dict):
            raise UnreachableError(f"{what} ({self.where}): the answer is no object")
        return value

    def _send(
        self, connection: http.client.HTTPConnection, path: str, query: Mapping[str, str], what: str
    ) -> http.client.HTTPResponse:
        target = self.target(path, query)
        for again in (True, False):
            connection.putrequest("GET", target)
            connection.putheader("Accept", "application/json")
            for name, value in self.authority.headers():
                connection.putheader(name, value.encode())
            connection.endheaders()
            response = connection.getresponse()
            if response.status == 200:
                return response
            body = response.read(1 << 20)
            if response.status != 401 or not again or not self.authority.forget():
                break
            connection.close()
        raise api_failure(response.status, body, what, self.where)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.access.server)
        proxy = urlsplit(self.proxy) if self.proxy else None
        if proxy is not None and proxy.scheme != "http":
            raise UnreachableError(
                f"{self.where}: proxy {redacted(self.proxy)} cannot be used; only http:// proxies can"
            )
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        near = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
        context = self.authority.context()
        connection: http.client.HTTPConnection
        if context is None:
            connection = http.client.HTTPConnection(*near, timeout=_CONNECT_TIMEOUT)
        else:
            name = self.access.tls_server_name
            connection = _Https(near[0], near[1], context, name or host)
        if proxy:
            connection.set_tunnel(host, port, proxy_headers(self.proxy))
        return connection

    def _broken(self, error: Exception, what: str) -> UnreachableError:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"its certificate is not trusted: {error.verify_message}"
        elif isinstance(error, TimeoutError):
            reason = f"no answer within {_CONNECT_TIMEOUT:.0f} s"
        elif isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            reason = f"a broken answer ({type(error).__name__})"
        return UnreachableError(f"{what}: cannot reach {self.access.server} ({self.where}): {reason}")


class _Https(http.client.HTTPSConnection):
    """HTTPS with a server name of our choice (kubeconfig's `tls-server-name`)."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=_CONNECT_TIMEOUT, context=context)
        self._tls = context
        self._name = name

    def connect(self) -> None:
        """Connects, through the proxy if there is one, then speaks TLS."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


_RIGHTS = {"401": "the cluster does not accept its credentials (401); log in again"}


def api_failure(status: int, body: bytes, what: str, where: str) -> ApiError:
    """An answer that is no success, in one line; the cluster's own message names the missing right."""
    try:
        message = str(read_json(body).get("message") or "")
    except (ValueError, AttributeError):
        message = " ".join(body.decode(errors="replace").split())[:300]
    place = what if where in what else f"{what} ({where})"
    if status == 401:
        return ApiError(f"{place}: {_RIGHTS['401']}", status)
    if status == 403:
        return ApiError(f"{place}: a right is missing: {message or 'forbidden (403)'}", status)
    return ApiError(f"{place}: {message or f'HTTP {status}'}", status)


def _shut(sock: socket.socket) -> None:
    """Ends a socket below TLS, so that a thread blocked in it comes back."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return
