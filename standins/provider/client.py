"""A thin client of the Kubernetes API: requests, watches, and where each kind lives."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from standins.provider.errors import NoMatch, StatusError, Unreachable
from standins.provider.kubeconfig import Access
from standins.provider.objects import Object, name_of, namespace_of

__all__ = ["Client", "Resource", "Watch"]

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_WATCH_SECONDS = 300
"""After this long the server ends a watch, which then begins anew: a lost connection is noticed at the latest then."""

_RETRY_SECONDS = 2.0
"""The longest pause between attempts to watch again."""


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind live."""

    prefix: str
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the collection, or of one object."""
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{quote(name)}" if name else "")


class Client:
    """Requests to one apiserver. Safe to use from several threads."""

    def __init__(self, access: Access) -> None:
        self._server = access.server
        self._headers = {"Accept": "application/json", "User-Agent": "standin-resource-kubernetes"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        elif access.basic:
            self._headers["Authorization"] = "Basic " + base64.b64encode(access.basic.encode()).decode()
        self._pool = urllib3.PoolManager(
            maxsize=64,
            ssl_context=_tls(access) if access.server.startswith("https:") else None,
            assert_hostname=access.server_name or None,
            server_hostname=access.server_name or None,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        )
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._lock = threading.Lock()

    def _send(self, method: str, path: str, query: Mapping[str, Any], **options: Any) -> urllib3.BaseHTTPResponse:
        url = self._server + path + ("?" + urlencode(query) if query else "")
        headers = {**self._headers, **options.pop("headers", {})}
        try:
            return self._pool.request(method, url, headers=headers, **options)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f'{method.capitalize()} "{url}": {_reason(error)}') from error

    def request(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: Any
    ) -> Object:
        """One request; the answer's JSON. Raises StatusError (the server refused) or Unreachable."""
        data = None if body is None else json.dumps(body).encode()
        response = self._send(method, path, query, body=data, headers={"Content-Type": content} if data else {})
        if response.status >= 400:
            raise StatusError.of(response.status, response.data)
        answer: Object = json.loads(response.data)
        return answer

    def resource(self, api_version: str, kind: str) -> Resource:
        """Where a kind lives. Raises NoMatch if the server does not know it (now: it may later)."""
        with self._lock:
            if (api_version, kind) not in self._kinds:
                self._discover(api_version)
            found = self._kinds.get((api_version, kind))
        if found is None:
            raise NoMatch(api_version, kind)
        return found

    def _discover(self, api_version: str) -> None:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = self.request("GET", prefix)
        except StatusError as error:
            if error.code == 404:
                return
            raise
        for entry in answer.get("resources", []):
            if "/" not in entry["name"]:
                self._kinds[api_version, entry["kind"]] = Resource(prefix, entry["name"], entry["namespaced"])

    def path_of(self, target: Object, *, collection: bool = False) -> str:
        """The path of an object, or of the collection it belongs to. A namespaced object without one: `default`."""
        resource = self.resource(target.get("apiVersion", ""), target.get("kind", ""))
        namespace = namespace_of(target) or "default"
        return resource.path(namespace, "" if collection else name_of(target))

    def get(self, target: Object) -> Object:
        """The live version of an object."""
        return self.request("GET", self.path_of(target))

    def watch(self, path: str, on_event: Callable[[str, Object], None], **query: Any) -> Watch:
        """Watches a collection from now on; `on_event` gets `ADDED`, `MODIFIED`, `DELETED` and the object.

        `CONNECTED`, without an object, says that from here on nothing is missed; `ADDED` events for what is there
        already follow. Both come again if the watch had to begin anew, as after a restart of the server. `FAILED`, with
        the key `message` for an object, says that the server refuses the watch.
        """
        return Watch(lambda: self._stream(path, query), on_event)

    def _stream(self, path: str, query: Mapping[str, Any]) -> urllib3.BaseHTTPResponse:
        options = {"watch": "true", "timeoutSeconds": _WATCH_SECONDS, **query}
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_WATCH_SECONDS + 30)
        response = self._send("GET", path, options, preload_content=False, timeout=timeout)
        if response.status >= 400:
            raise StatusError.of(response.status, response.data)
        return response


class Watch:
    """A watch on a thread of its own, until closed."""

    def __init__(
        self, connect: Callable[[], urllib3.BaseHTTPResponse], on_event: Callable[[str, Object], None]
    ) -> None:
        self._connect, self._on_event = connect, on_event
        self._closed = threading.Event()
        self._response: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                self._response = self._connect()
                if self._closed.is_set():
                    break
                self._on_event("CONNECTED", {})
                for event in _events(self._response):
                    failures = 0
                    if self._closed.is_set():
                        break
                    if event["type"] == "ERROR":
                        break
                    if event["type"] != "BOOKMARK":
                        self._on_event(event["type"], event["object"])
            except StatusError as error:
                if error.code in (401, 403, 404, 405):
                    self._on_event("FAILED", {"message": str(error)})
                    return
                failures = self._pause(failures)
            except (urllib3.exceptions.HTTPError, OSError, Unreachable, ValueError, AttributeError):
                # A closed response fails in more ways than urllib3 has errors for.
                failures = self._pause(failures)
        if self._response is not None:
            # Closed while it was connecting: nobody else will.
            self._response.close()

    def _pause(self, failures: int) -> int:
        self._closed.wait(min(0.2 * 2**failures, _RETRY_SECONDS))
        return min(failures + 1, 10)

    def close(self) -> None:
        """Ends the watch; no event comes after the one being handled."""
        self._closed.set()
        response = self._response
        if response is not None:
            with suppress(Exception):
                # Wakes the thread that reads; closing alone would wait for it.
                response.shutdown()
            with suppress(Exception):
                response.close()


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in response.read_chunked(decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _reason(error: BaseException) -> str:
    """The innermost reason, in few words: urllib3 wraps it several times."""
    while isinstance(inner := getattr(error, "reason", None) or error.__cause__, BaseException):
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _tls(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=access.authority.decode() if access.authority else None)
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.certificate and access.key:
        # OpenSSL's loader takes file names only; mode 0600, gone at once.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(access.certificate + b"\n" + access.key)
            pair.flush()
            context.load_cert_chain(pair.name)
    return context
