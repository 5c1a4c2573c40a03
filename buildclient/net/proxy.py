"""Which proxy a server is reached through: the kubeconfig's, else the environment's by Go's rules.

Go's rules (golang.org/x/net/http/httpproxy): HTTPS_PROXY or HTTP_PROXY by the server's scheme, in either case, unless
NO_PROXY matches: `*`, a host or domain (with its subdomains), an address, a network in CIDR form, each with an
optional port. Loopback addresses never go through a proxy. ALL_PROXY is not one of Go's variables, nor of kubectl's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    import urllib3

__all__ = [
    "Proxy",
    "ProxyRefused",
    "basic_login",
    "of_proxy",
    "pool",
    "proxy_for",
    "proxy_headers",
    "read_proxy",
    "redacted",
]

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The kinds of proxies, with the ports that they have by themselves."""


class Proxy(NamedTuple):
    """A proxy's URL in parts."""

    scheme: str
    host: str
    port: int
    username: str
    password: str

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5; it then looks up names itself, by either scheme, as with Go."""
        return self.scheme.startswith("socks5")


class ProxyRefused(OSError):
    """A proxy gives no way, for a reason that another try does not mend."""


def read_proxy(proxy: str) -> Proxy:
    """A proxy's URL in parts, where signs may be escaped. Raises ValueError, without its password."""
    try:
        parts = urlsplit(proxy)
        port = parts.port
        good = parts.scheme in _PORTS and bool(parts.hostname)
    except ValueError:
        # Its own words may hold the password.
        good = False
    if not good:
        raise ValueError(f"proxy {redacted(proxy)} cannot be used: it must be http://, https:// or socks5://HOST:PORT")
    return Proxy(
        parts.scheme,
        parts.hostname or "",
        port or _PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def of_proxy(proxy: str, error: Exception) -> OSError:
    """An error on the way to or at a proxy, with the proxy's name; passing ones stay ConnectionErrors."""
    kind = ConnectionError if isinstance(error, ConnectionError) else ProxyRefused
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error) or "no answer"
    return kind(f"proxy {redacted(proxy)}: {reason}")


def proxy_for(server: str, configured: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL for a server's URL; empty for a direct way. `configured` is the kubeconfig's `proxy-url`."""
    if configured:
        return configured
    parts = urlsplit(server)
    name = "https_proxy" if parts.scheme == "https" else "http_proxy"
    proxy = environ.get(name.upper()) or environ.get(name) or ""
    if not proxy:
        return ""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if _exempt(host, port, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_headers(proxy: str) -> dict[str, str]:
    """What a proxy wants to be told of who asks: the user and password in its URL, where signs may be escaped."""
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    return {"Proxy-Authorization": basic_login(unquote(parts.username), unquote(parts.password or ""))}


def basic_login(username: str, password: str) -> str:
    """The value of an Authorization header for user and password, in UTF-8 as Go writes them (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode(errors="replace")).decode()


def pool(proxy: str, **settings: Any) -> urllib3.PoolManager:
    """Connections through a proxy, empty for none, made with these settings of urllib3's. Raises ValueError."""
    import urllib3

    if not proxy:
        return urllib3.PoolManager(**settings)
    if read_proxy(proxy).is_socks:
        from buildclient.net.socks_pool import socks_pool

        return socks_pool(proxy, **settings)
    if proxy.startswith("https"):
        import ssl

        # Whether a registry's certificate is checked says nothing about the proxy's.
        settings["proxy_ssl_context"] = ssl.create_default_context()
    return urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), **settings)


def redacted(proxy: str) -> str:
    """The proxy's URL for messages: without user and password."""
    head, at, place = proxy.rpartition("@")
    scheme, separator, _ = head.partition("://")
    return f"{scheme}{separator}{place}" if at and separator else place


def _exempt(host: str, port: int, rules: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(rule.strip().lower(), host.lower(), port) for rule in rules.split(",") if rule.strip())


def _matches(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    address = _address(host)
    if "/" in rule:
        network = _network(rule)
        return address is not None and network is not None and address in network
    name, colon, number = rule.rpartition(":")
    if colon and number.isascii() and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        rule = name
    rule = rule.strip("[]")
    if address is not None:
        return address == _address(rule)
    if rule.startswith("*."):
        rule = rule[1:]
    if rule.startswith("."):
        return host.endswith(rule)
    return host == rule or host.endswith(f".{rule}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    import ipaddress

    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    import ipaddress

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
