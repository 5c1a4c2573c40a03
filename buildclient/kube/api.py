"""Requests to the Kubernetes API over `http.client`, in threads: get an object or a list, watch a list.

An error is one line that names the context and the namespace; for 401 and 403 it says what is missing.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from buildclient.base.errors import ConfigurationError, ExceptionTable, UnreachableError, map_exceptions
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import MAX_SIZE, read_json
from buildclient.kube.credentials import Authority
from buildclient.kube.http_connection import Http, Https, shut
from buildclient.kube.kubeconfig import Access
from buildclient.net.proxy import ProxyRefused, proxy_for, read_proxy, redacted

__all__ = ["ApiError", "KubeApi", "api_failure"]

_LOG = logging.getLogger("buildclient.kube")
_CONNECT_TIMEOUT = 10.0
"""Seconds to connect, and for an answer to begin."""


_NOT_MENDED = (401, 403)
"""HTTP statuses where a retry does not help: authentication and permissions."""

_MAX_EVENT = 16 << 20
"""Bytes of one event of a watch."""


class ApiError(UnreachableError):
    """The API server returned an error; `status` is the HTTP status."""

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
        return f'context "{self.access.context}"' if self.access.context else redacted(self.access.server)

    def target(self, path: str, query: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
        """The path and query of a request: below the server's own path, while its query is dropped as by client-go."""
        prefix = urlsplit(self.access.server).path.rstrip("/")
        return f"{prefix}{path}" + (f"?{urlencode(query)}" if query else "")

    async def get(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """An object or list. `what` begins error messages: `cannot list …`. Raises UnreachableError, ApiError."""
        return await asyncio.to_thread(self._get, path, query, what)

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """As `get`, but blocking, for callers in a thread of their own. Raises UnreachableError, ApiError."""
        return self._get(path, query, what)

    async def merge_patch(self, path: str, patch: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Changes an object by a JSON merge patch (RFC 7386) and returns it. Raises UnreachableError, ApiError."""
        body = json.dumps(patch).encode()
        return await asyncio.to_thread(self._get, path, {}, what, body)

    async def watch(
        self, path: str, query: Mapping[str, str], what: str, seconds: float, seen: Callable[[dict[str, Any]], bool]
    ) -> bool:
        """Calls `seen` with each event until it returns True (returns True), or for `seconds` (returns False).

        Raises ApiError (410 where the list must be read anew) and UnreachableError.
        """
        connection = self._connection()
        _LOG.debug("watch %s for at most %.0f s", path, seconds)
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
            result: bool | BaseException = False
            try:
                with map_exceptions(self._faults(what)):
                    connection.connect()
                    # Kept apart: http.client forgets the socket of a response that ends with its connection.
                    sockets.append(connection.sock)
                    response = self._send(connection, path, bounded, what)
                    sockets.append(connection.sock or sockets[-1])
                    sockets[-1].settimeout(seconds + _CONNECT_TIMEOUT)
                    while line := response.readline(_MAX_EVENT):
                        loop.call_soon_threadsafe(take, _event(line, what))
            except UnreachableError as error:
                result = error
            loop.call_soon_threadsafe(settle, result)

        thread = asyncio.ensure_future(asyncio.to_thread(read))
        try:
            return await asyncio.wait_for(found, seconds)
        except TimeoutError:
            return False
        finally:
            # A thread that waits for the next line wakes up when its socket ends.
            for sock in sockets:
                shut(sock)
            await asyncio.gather(thread, return_exceptions=True)
            connection.close()

    def _get(self, path: str, query: Mapping[str, str], what: str, patch: bytes | None = None) -> dict[str, Any]:
        connection = self._connection()
        try:
            with map_exceptions(self._faults(what)):
                value = read_json(self._send(connection, path, query, what, patch).read(MAX_SIZE + 1))
        finally:
            connection.close()
        if not isinstance(value, dict):
            raise UnreachableError(f"{what} ({self.where}): the answer is not a JSON object")
        return value

    def _send(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        query: Mapping[str, str],
        what: str,
        patch: bytes | None = None,
    ) -> http.client.HTTPResponse:
        target, method = self.target(path, query), "GET" if patch is None else "PATCH"
        for again in (True, False):
            began = time.monotonic()
            connection.putrequest(method, target)
            connection.putheader("Accept", "application/json")
            for name, value in self.authority.headers():
                connection.putheader(name, value.encode())
            if patch is not None:
                connection.putheader("Content-Type", "application/merge-patch+json")
                connection.putheader("Content-Length", str(len(patch)))
            connection.endheaders(patch)
            response = connection.getresponse()
            _LOG.debug("%s %s: %d in %.0f ms", method, path, response.status, 1000 * (time.monotonic() - began))
            if response.status == 200:
                return response
            body = response.read(1 << 20)
            if response.status != 401 or not again or not self.authority.forget():
                break
            _LOG.debug("the exec plugin is run again: the cluster refused its credential")
            connection.close()
        raise api_failure(response.status, body, what, self.where)

    def proxy_context(self) -> ssl.SSLContext | None:
        """The TLS context for the proxy, None for one without TLS. Raises ConfigurationError, UnreachableError."""
        if not self.proxy:
            return None
        try:
            scheme = read_proxy(self.proxy).scheme
        except ValueError as error:
            raise ConfigurationError(f"{self.where}: {error}") from None
        return self.authority.proxy_context() if scheme == "https" else None

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.access.server)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        proxy_context = self.proxy_context()

        def reach() -> socket.socket:
            if self.proxy:
                from buildclient.net.dial import dial

                return dial(self.proxy, host, port, _CONNECT_TIMEOUT, proxy_context)
            return socket.create_connection((host, port), _CONNECT_TIMEOUT)

        ssl_context = self.authority.ssl_context()
        if ssl_context is None:
            return Http(host, port, _CONNECT_TIMEOUT, reach)
        return Https(host, port, _CONNECT_TIMEOUT, reach, ssl_context, self.access.tls_server_name or host)

    def _faults(self, what: str) -> ExceptionTable:
        def row(words: Callable[[Any], str]) -> Callable[[Any], UnreachableError]:
            def translate(error: Exception) -> UnreachableError:
                return UnreachableError(
                    f"{what}: cannot reach {redacted(self.access.server)} ({self.where}): {words(error)}"
                )

            return translate

        return [(kind, row(words)) for kind, words in _WORDS]


def _broken(error: Exception) -> str:
    return f"a broken answer ({type(error).__name__})"


_WORDS: tuple[tuple[type[Exception], Callable[[Any], str]], ...] = (
    (ssl.SSLCertVerificationError, lambda error: f"its certificate is not trusted: {error.verify_message}"),
    (ProxyRefused, str),
    (TimeoutError, lambda _: f"no answer within {_CONNECT_TIMEOUT:.0f} s"),
    (OSError, reason),
    (http.client.HTTPException, _broken),
    (ValueError, _broken),
)


def _event(line: bytes, what: str) -> dict[str, Any]:
    """One event of a watch. Raises ApiError for an event of type ERROR, ValueError for a line that is not JSON."""
    event = read_json(line)
    if not isinstance(event, dict):
        raise ValueError("an event must be an object")
    if event.get("type") == "ERROR":
        status = event.get("object")
        status = status if isinstance(status, dict) else {}
        code = status.get("code")
        raise ApiError(f"{what}: {status.get('message')}", code if isinstance(code, int) else 500)
    return event


def api_failure(status: int, body: bytes, what: str, where: str) -> ApiError:
    """A refused request, in one line; for 403 with the cluster's own message, which names the verb and resource."""
    try:
        message = str(read_json(body).get("message") or "")
    except (ValueError, AttributeError):
        message = " ".join(body.decode(errors="replace").split())[:300]
    place = what if where in what else f"{what} ({where})"
    if status == 401:
        return ApiError(f"{place}: the cluster does not accept its credentials (401); log in again", status)
    if status == 403:
        return ApiError(f"{place}: forbidden (RBAC): {message or 'HTTP 403'}", status)
    return ApiError(f"{place}: {message or f'HTTP {status}'}", status)
