"""HTTP to registries, on urllib3 in threads: scheme, proxy, retries, and errors in one line.

Verified TLS is the default. Plain HTTP and unverified TLS are for loopback and for the hosts that the user lists, as
with Docker; there is no fallback, which would give passwords to a man in the middle.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from buildclient.base.errors import BuildFailed
from buildclient.base.threads import in_thread
from buildclient.contract.jsontext import read_json
from buildclient.net.proxy import pool, proxy_for, redacted

if TYPE_CHECKING:
    import urllib3

__all__ = ["MAX_BODY", "Answer", "RegistryHttp", "plain_http", "read_body", "said"]

_LOG = logging.getLogger("buildclient.registry")
_IDLE_TIMEOUT = 60.0
"""Read timeout, in seconds without a byte."""
_CONNECT_TIMEOUT = 15.0
"""Seconds."""
MAX_BODY = 1 << 20
"""Bytes that are read of an error, a token or any other answer that is no content."""
_PIECE = 64 << 10
_RETRIES = 4
_RETRY_STATUS = (429, 500, 502, 503, 504)
_BACKOFF_MAX = 10
"""Seconds between two attempts at most."""
_BAD_REQUEST, _NOT_FOUND = 400, 404


class Answer(NamedTuple):
    """A server's answer with what it said, of which MAX_BODY bytes are read."""

    status: int
    reason: str
    headers: Mapping[str, str]
    data: bytes


def read_body(answer: Any, *, suppress: bool = False) -> bytes:
    """Reads what is left of a small body and gives the connection back; blocking.

    Of a longer one MAX_BODY bytes are returned, and the connection is closed. Raises urllib3's HTTPError, unless it is
    to be suppressed: then what has come is returned.
    """
    import urllib3

    data = bytearray()
    try:
        # In pieces, since a compressed one may become a thousand times as large.
        while len(data) <= MAX_BODY and (piece := answer.read(_PIECE)):
            data += piece
    except urllib3.exceptions.HTTPError:
        answer.close()
        if not suppress:
            raise
    if len(data) > MAX_BODY:
        answer.close()
    answer.release_conn()
    return bytes(data[:MAX_BODY])


class RegistryHttp:
    """Requests to any registry; connections are kept."""

    def __init__(self, insecure: Sequence[str], environ: Mapping[str, str]) -> None:
        """`insecure` as in `plain_http`; `environ` for the proxy."""
        self._insecure = tuple(insecure)
        self._environ = environ
        self._bases: dict[str, str] = {}
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}

    def allowed(self, host: str) -> bool:
        """Whether a host may be spoken to without checked TLS."""
        return plain_http(host, self._insecure)

    async def send(self, method: str, host: str, path: str, *, fresh: bool = False, **options: Any) -> Any:
        """The answer to a request for `/v2/<path>`, whatever its status. Raises BuildFailed.

        With `preload_content=False` a good one is urllib3's, with its body still to be read.

        `fresh` is for what was pushed a moment ago: a registry may be late to find it, so a 404 is asked again.
        """
        if fresh:
            options["retries"] = _retries((*_RETRY_STATUS, _NOT_FOUND))
        return await in_thread(lambda: self._send(method, host, path, options))

    async def read(self, answer: Any, size: int) -> bytes:
        """At most `size` bytes of an answer's body. Raises BuildFailed when it breaks off."""
        return await in_thread(lambda: _read(answer, size))

    def _send(self, method: str, host: str, path: str, options: Mapping[str, Any]) -> Any:
        return self._request(method, f"{self._base(host)}/v2/{path}", options, method)

    def _base(self, host: str) -> str:
        """Scheme and host; threads may ask at once, and then find the same."""
        if host in self._bases:
            return self._bases[host]
        scheme = "https"
        if self.allowed(host):
            answer = self._request("GET", f"http://{host}/v2/", {}, "ping")
            # Go's servers answer so to plain HTTP where TLS is spoken.
            if not (answer.status == _BAD_REQUEST and b"HTTPS" in answer.data):
                scheme = "http"
        return self._bases.setdefault(host, f"{scheme}://{host}")

    def _request(self, method: str, url: str, options: Mapping[str, Any], what: str) -> Any:
        import urllib3

        began = time.monotonic()
        streamed = options.get("preload_content") is False
        try:
            answer = self._manager(url).request(method, url, **{**options, "preload_content": False})
            _told(method, url, answer, began)
            if streamed and answer.status // 100 == 2:
                return answer
            return Answer(answer.status, answer.reason or "", answer.headers, read_body(answer, suppress=True))
        except urllib3.exceptions.HTTPError as error:
            host = url.split("/")[2]
            proxy = proxy_for(url, "", self._environ)
            through = f" through proxy {redacted(proxy)}" if proxy and redacted(proxy) not in str(error) else ""
            _LOG.debug("%s %s failed after %.0f ms: %s", method, url, 1000 * (time.monotonic() - began), _words(error))
            raise BuildFailed(f"registry {host} cannot be reached{through} ({what}): {_words(error)}") from None

    def _manager(self, url: str) -> urllib3.PoolManager:
        import urllib3

        scheme, _, rest = url.partition("://")
        unchecked = scheme == "https" and self.allowed(rest.partition("/")[0])
        proxy = proxy_for(url, "", self._environ)
        if (proxy, unchecked) not in self._managers:
            settings: dict[str, Any] = {
                "timeout": urllib3.Timeout(_CONNECT_TIMEOUT, _IDLE_TIMEOUT),
                "retries": _retries(_RETRY_STATUS),
            }
            if unchecked:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                settings.update(cert_reqs="CERT_NONE", assert_hostname=False)
            try:
                self._managers[proxy, unchecked] = pool(proxy, **settings)
            except ValueError as error:
                raise BuildFailed(f"registry {rest.partition('/')[0]}: {error}") from None
        return self._managers[proxy, unchecked]


def _retries(statuses: Sequence[int]) -> urllib3.Retry:
    """Retries after 0, 0.4, 0.8 and 1.6 s if the response has one of these statuses."""
    import urllib3

    return urllib3.Retry(
        _RETRIES,
        connect=2,
        # Other errors, such as TLS errors, would recur.
        other=0,
        status_forcelist=statuses,
        backoff_factor=0.2,
        backoff_max=_BACKOFF_MAX,
        raise_on_status=False,
        # A registry may ask to wait for hours; a build does not.
        respect_retry_after_header=False,
    )


def plain_http(host: str, insecure: Sequence[str]) -> bool:
    """Whether a host (`host[:port]`) may do without checked TLS: loopback, and what `insecure` lists.

    An entry is `host[:port]`, or a network such as `10.0.0.0/8`.
    """
    name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
    name = name.strip("[]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    for rule in insecure:
        if rule in (host, name):
            return True
        if address is not None and "/" in rule:
            try:
                if address in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                continue
    return False


def _told(method: str, url: str, answer: Any, began: float) -> None:
    """Logs a request with its retries. Where a redirect led is left out: such URLs are signed."""
    tries = [one for one in answer.retries.history if not one.redirect_location] if answer.retries else []
    for one in tries:
        _LOG.debug("%s %s: retried after %s", method, url, one.status or type(one.error).__name__)
    _LOG.debug("%s %s: %d in %.0f ms", method, url, answer.status, 1000 * (time.monotonic() - began))


def said(answer: Answer) -> str:
    """Returns a registry's error: its codes and messages, else the first words of the body."""
    try:
        errors = read_json(answer.data).get("errors") or []
        told = [f"{str(one.get('code', '')).lower()}: {one.get('message', '')}".strip(": ") for one in errors]
    except (ValueError, AttributeError, TypeError):
        told = [" ".join(answer.data.decode(errors="replace").split())[:200]]
    return " ".join([str(answer.status), answer.reason, "; ".join(filter(None, told))]).strip()


def _read(answer: Any, size: int) -> bytes:
    import urllib3

    data = bytearray()
    try:
        while len(data) < size and (piece := answer.read(min(_PIECE, size - len(data)))):
            data += piece
        return bytes(data)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise BuildFailed(f"registry: the answer broke off: {_words(error)}") from None


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    text = " ".join(str(reason).split())
    if "wrong version number" in text.lower().replace("_", " "):
        return "it speaks plain HTTP; name it in BUILDCLIENT_INSECURE_REGISTRIES, or push with registry.insecure=true"
    # urllib3 puts a repr of the connection or pool before the message.
    return text.rpartition(">: ")[2]
