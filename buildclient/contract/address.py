"""Addresses of BuildKit daemons, in the forms of buildctl's `--addr` and buildx's remote driver.

    unix:///run/buildkit/buildkitd.sock
    tcp://buildkit.example:1234
    ssh://user@build.example:22/run/user/1000/buildkit/buildkitd.sock
    kube-pod://buildkitd-0?namespace=ci&context=staging&container=buildkitd

Reference: client/connhelper of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from buildclient.contract.names import is_dns_label, is_dns_subdomain
from buildclient.contract.patterns import pattern
from buildclient.contract.urls import bracketed

__all__ = ["FORMS", "Address", "AddressError", "KubePod", "Ssh", "Tcp", "Unix", "host_port", "parse_address"]

FORMS = (
    "unix://PATH, tcp://HOST:PORT, ssh://[USER@]HOST[:PORT][/SOCKET] or "
    "kube-pod://POD[?namespace=NAME&context=NAME&container=NAME]"
)
"""What an address looks like, for messages."""
_HOST = pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
_USER = pattern(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\+$-]*")
_PORT = pattern(r"[0-9]{1,5}")
_LONGEST_PATH = 107
"""Bytes that the path of a Unix socket may have on Linux (unix(7)); 103 on macOS, whose own error says so."""


class AddressError(ValueError):
    """Not an address; the message says why, without repeating the whole address."""


class Unix(NamedTuple):
    """A Unix socket."""

    path: str
    """`@NAME` is a socket of Linux's abstract namespace, as in Go."""

    def __str__(self) -> str:
        return f"unix://{self.path}"


class Tcp(NamedTuple):
    """A TCP port."""

    host: str
    """A name or an IP address, without brackets."""
    port: int

    def __str__(self) -> str:
        return f"tcp://{bracketed(self.host)}:{self.port}"


class Ssh(NamedTuple):
    """`buildctl dial-stdio` on a host that ssh reaches."""

    host: str
    user: str = ""
    port: int = 0
    """0 lets ssh decide."""
    socket: str = ""
    """Path of the daemon's socket there; empty for buildctl's default."""

    def __str__(self) -> str:
        user, port = f"{self.user}@" if self.user else "", f":{self.port}" if self.port else ""
        return f"ssh://{user}{bracketed(self.host)}{port}{quote(self.socket)}"


class KubePod(NamedTuple):
    """`buildctl dial-stdio` in one pod."""

    pod: str
    namespace: str = ""
    """Empty for the context's."""
    context: str = ""
    """Name of a kubeconfig context; empty for the current one."""
    container: str = ""
    """Empty where the pod has one container."""

    def __str__(self) -> str:
        named = (("namespace", self.namespace), ("context", self.context), ("container", self.container))
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in named if value)
        return f"kube-pod://{self.pod}{'?' if query else ''}{query}"


Address = Unix | Tcp | Ssh | KubePod


def parse_address(text: str) -> Address:
    """Reads an address. Raises AddressError."""
    scheme, separator, rest = text.partition("://")
    if not text.isprintable():
        raise AddressError("it has control characters")
    read = _SCHEMES.get(scheme)
    if not separator or read is None:
        raise AddressError(f"must be {FORMS}")
    return read(rest)


def _unix(rest: str) -> Unix:
    if not rest or rest == "@":
        raise AddressError("unix:// wants the path of a socket")
    if len(rest.encode(errors="surrogateescape")) > _LONGEST_PATH:
        raise AddressError(f"the path of a Unix socket has at most {_LONGEST_PATH} bytes")
    return Unix(rest)


def _tcp(rest: str) -> Tcp:
    host, port = host_port(rest)
    if not port:
        raise AddressError("tcp:// wants HOST:PORT")
    return Tcp(host, port)


def _ssh(rest: str) -> Ssh:
    for sign, what in (("?", "query"), ("#", "fragment")):
        if sign in rest:
            raise AddressError(f"ssh:// takes no {what}")
    place, slash, path = rest.partition("/")
    login, at, place = place.rpartition("@")
    user = unquote(login)
    if ":" in login:
        raise AddressError("ssh:// takes no password: use a key")
    # ssh would take a name that begins with a dash for an option.
    if at and not _USER.fullmatch(user):
        raise AddressError(f"ssh:// has an unusable user: {user!r}")
    host, port = host_port(place)
    socket = unquote(f"{slash}{path}") if path else ""
    # ssh passes its command to a shell.
    if not re.fullmatch(r"[\w/.@+=:,-]*", socket):
        raise AddressError(f"ssh:// has an unusable path: {socket!r}")
    return Ssh(host, user, port, socket)


def _kube_pod(rest: str) -> KubePod:
    pod, _, query = rest.partition("?")
    pod = pod.removesuffix("/")
    named = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(named) - {"namespace", "context", "container"}):
        raise AddressError(f"kube-pod:// takes namespace, context and container, not {unknown[0]!r}")
    if not pod:
        raise AddressError("kube-pod:// wants the name of a pod")
    if not is_dns_subdomain(pod):
        raise AddressError(f"{pod!r} is no name of a pod")
    for key in ("namespace", "container"):
        if named.get(key) and not is_dns_label(named[key]):
            raise AddressError(f"{named[key]!r} is no name of a {key}")
    context = named.get("context", "")
    if not context.isprintable():
        raise AddressError(f"{context!r} is no name of a context")
    return KubePod(pod, named.get("namespace", ""), context, named.get("container", ""))


def host_port(text: str) -> tuple[str, int]:
    """The host of HOST[:PORT] without brackets, and the port, 0 where there is none. Raises AddressError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host) or (rest and not rest.startswith(":")):
            raise AddressError(f"{text!r} is no host")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        if not _HOST.fullmatch(host):
            raise AddressError(f"{host!r} is no host" if host else "it names no host")
    if not colon:
        return host, 0
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise AddressError(f"{port!r} is no port")
    return host, int(port)


_SCHEMES: Mapping[str, Callable[[str], Address]] = {"unix": _unix, "tcp": _tcp, "ssh": _ssh, "kube-pod": _kube_pod}
