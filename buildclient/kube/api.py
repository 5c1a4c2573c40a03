"""Requests to the Kubernetes API over `http.client`, in threads: get an object or a list, watch a list.

An error is one line that names the context and the namespace; for 401 and 403 it says what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from buildclient.base.errors import ConfigurationError, ExceptionTable, UnreachableError, map_exceptions
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import MAX_SIZE, read_json
from buildclient.kube.credentials import Authority
from buildclient.kube.http_connection import Http, Https, read_body, shut
from buildclient.kube.kubeconfig import Access
from buildclient.net.hostname import encoded
from buildclient.net.proxy import ProxyRefused, proxy_for, read_proxy, redacted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from buildclient.kube.rights import MissingRight

__all__ = ["CUT_PAUSES", "ApiError", "KubeApi", "api_failure", "read_event"]

_LOG = logging.getLogger("buildclient.kube")
_CONNECT_TIMEOUT = 10.0
"""Seconds to connect, and for an answer to begin."""


_NOT_MENDED = (401, 403)
"""HTTP statuses where a retry does not help: authentication and permissions."""

_CONTENT_TYPES = {"PATCH": "application/merge-patch+json", "POST": "application/json", "DELETE": "application/json"}
"""By method, of what is sent."""

_MAX_EVENT = 16 << 20
"""Bytes of one event of a watch."""

_CUT = (
    http.client.IncompleteRead,
    http.client.BadStatusLine,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    ssl.SSLEOFError,
)
"""How a connection fails that was there, and is cut before the answer has come."""
CUT_PAUSES = (0.3, 1.0, 2.0)
"""Seconds before each time that a request which was cut is sent again."""


def _close_connection(prepared: Future[http.client.HTTPConnection]) -> None:
    if not prepared.cancelled() and prepared.exception() is None:
        prepared.result().close()


class ApiError(UnreachableError):
    """The API server returned an error; `status` is the HTTP status."""

    def __init__(self, message: str, status: int, *, right: MissingRight | None = None) -> None:
        super().__init__(message, hint=right.hint if right else "")
        self.status = status
        self.right = right
        """The right that is missing, of a status 403 that names it."""
        if status in _NOT_MENDED:
            self.exit_status = ConfigurationError.exit_status


class KubeApi:
    """One cluster's API."""

    def __init__(
        self, access: Access, environ: Mapping[str, str] | None = None, *, cut_pauses: Sequence[float] = CUT_PAUSES
    ) -> None:
        """`cut_pauses` are the seconds before each time that a read whose connection was cut is sent again."""
        self.access = access
        self._cut_pauses = cut_pauses
        self.authority = Authority(access, environ)
        self._prepared: list[Future[http.client.HTTPConnection]] = []
        self._skip = False
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
        return await asyncio.to_thread(self._exchange, path, query, what)

    async def recent(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """As `get`, where what a watch has told a moment ago will do."""
        return await self.get(path, query, what)

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        """As `get`, but blocking, for callers in a thread of their own. Raises UnreachableError, ApiError."""
        return self._exchange(path, query, what)

    def create(self, path: str, query: Mapping[str, str], value: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Creates an object and returns it. Blocks. Raises UnreachableError, ApiError."""
        return self._exchange(path, query, what, json.dumps(value).encode(), "POST")

    def delete(
        self, path: str, query: Mapping[str, str], what: str, options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Deletes an object, by DeleteOptions if given, and returns what the API server says.

        Blocks. Raises UnreachableError, ApiError.
        """
        body = None if options is None else json.dumps(options).encode()
        return self._exchange(path, query, what, body, "DELETE")

    async def merge_patch(self, path: str, patch: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Changes an object by a JSON merge patch (RFC 7386) and returns it. Raises UnreachableError, ApiError."""
        return await asyncio.to_thread(self.patch, path, patch, what)

    def patch(self, path: str, patch: Mapping[str, Any], what: str, manager: str = "buildclient") -> dict[str, Any]:
        """As `merge_patch`, but blocking; `manager` is who the object's record names as the writer of the fields."""
        return self._exchange(path, {"fieldManager": manager}, what, json.dumps(patch).encode(), "PATCH")

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
                        loop.call_soon_threadsafe(take, read_event(line, what))
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

    def _exchange(
        self, path: str, query: Mapping[str, str], what: str, body: bytes | None = None, method: str = "GET"
    ) -> dict[str, Any]:
        with map_exceptions(self._faults(what)):
            # An API server that restarts cuts every stream; what only reads is asked again.
            for pause in self._cut_pauses if method == "GET" else ():
                try:
                    value = self._exchange_once(path, query, what, body, method)
                    break
                except _CUT as error:
                    _LOG.debug("GET %s: cut: %s; again in %.1f s", path, error, pause)
                    time.sleep(pause)
            else:
                value = self._exchange_once(path, query, what, body, method)
        if not isinstance(value, dict):
            raise UnreachableError(f"{what} ({self.where}): the answer is not a JSON object")
        return value

    def _exchange_once(self, path: str, query: Mapping[str, str], what: str, body: bytes | None, method: str) -> object:
        connection = self._prepared_connection() or self._connection()
        try:
            response = self._send(connection, path, query, what, body, method)
            return read_json(read_body(response, MAX_SIZE + 1))
        finally:
            connection.close()

    def _send(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        query: Mapping[str, str],
        what: str,
        sent: bytes | None = None,
        method: str = "GET",
    ) -> http.client.HTTPResponse:
        target = self.target(path, query)
        for again in (True, False):
            began = time.monotonic()
            connection.putrequest(method, target)
            connection.putheader("Accept", "application/json")
            # The API server compresses what is larger than 128 KiB: a list of many pods, to a tenth.
            connection.putheader("Accept-Encoding", "gzip")
            for name, value in self.authority.headers():
                connection.putheader(name, value.encode())
            if sent is not None:
                connection.putheader("Content-Type", _CONTENT_TYPES[method])
                connection.putheader("Content-Length", str(len(sent)))
            connection.endheaders(sent)
            response = connection.getresponse()
            _LOG.debug("%s %s: %d in %.0f ms", method, path, response.status, 1000 * (time.monotonic() - began))
            if response.status in (200, 201):
                return response
            try:
                body = read_body(response, 1 << 20)
            except http.client.IncompleteRead as error:
                body = error.partial
            except ValueError:
                body = b""
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

    def prepare(self) -> None:
        """Begins, in a thread, to connect for the request after the one that is under way or begins now."""
        from concurrent.futures import Future

        found: Future[http.client.HTTPConnection] = Future()

        def connect() -> None:
            try:
                connection = self._connection()
                connection.connect()
                found.set_result(connection)
            except Exception as error:
                found.set_exception(error)

        self._prepared.append(found)
        self._skip = True
        threading.Thread(target=connect, daemon=True).start()

    def _prepared_connection(self) -> http.client.HTTPConnection | None:
        """The connection that was prepared; None if there is none, or it failed: who connects then is told why."""
        if self._skip or not self._prepared:
            self._skip = False
            return None
        with contextlib.suppress(Exception):
            return self._prepared.pop().result(_CONNECT_TIMEOUT)
        return None

    def close_prepared(self) -> None:
        """Closes what was prepared for nothing."""
        while self._prepared:
            self._prepared.pop().add_done_callback(_close_connection)

    def connection(self) -> http.client.HTTPConnection:
        """Returns a new connection to the API server, not yet connected. Raises UnreachableError."""
        return self._connection()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.access.server)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        proxy_context = self.proxy_context()

        def reach() -> socket.socket:
            if self.proxy:
                from buildclient.net.dial import dial

                return dial(self.proxy, host, port, _CONNECT_TIMEOUT, proxy_context)
            return socket.create_connection((encoded(host), port), _CONNECT_TIMEOUT)

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


def read_event(line: bytes, what: str) -> dict[str, Any]:
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


def api_failure(status: int, body: bytes, what: str, where: str, exec_namespace: str = "") -> ApiError:
    """A refused request, in one line; for 403 with the right that is missing, else the cluster's own message.

    `exec_namespace` is the pod's of an exec.
    """
    try:
        message = str(read_json(body).get("message") or "")
    except (ValueError, AttributeError):
        message = " ".join(body.decode(errors="replace").split())[:300]
    place = what if where in what else f"{what} ({where})"
    if status == 401:
        return ApiError(f"{place}: the cluster does not accept its credentials (401); log in again", status)
    if status == 403:
        from buildclient.kube.rights import missing_right

        right = missing_right(message, exec_namespace)
        said = f"{place}: forbidden (RBAC): {right or message or 'HTTP 403'}"
        return ApiError(said, status, right=right)
    return ApiError(f"{place}: {message or f'HTTP {status}'}", status)
