"""Addresses of engines: `unix://`, `tcp://`, `ssh://`, and `containerd://` of this client.

Reference: ParseHostURL of moby's client, and docker/cli `cli/connhelper/ssh`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, urlsplit

from buildclient.engine.errors import NO_ENGINE, EngineError

__all__ = ["EngineAddress", "Tls", "is_containerd", "parse_address", "parse_containerd"]

_PORT, _TLS_PORT = 2375, 2376
_CONTAINERD = "/run/containerd/containerd.sock"
_NAMESPACE = "default"


class Tls(NamedTuple):
    """How TLS with an engine is verified; paths are empty where a file is not there."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class EngineAddress(NamedTuple):
    """The address of a Docker Engine's API."""

    text: str
    """As it was given, for messages."""
    scheme: str
    """`unix`, `tcp` or `ssh`."""
    path: str = ""
    """The socket, on this machine or on that of `ssh`; empty where `docker` there decides. Of `tcp`, a prefix."""
    host: str = ""
    port: int = 0
    """0 where `ssh` decides."""
    user: str = ""
    tls: Tls | None = None

    @property
    def path_prefix(self) -> str:
        """What precedes the paths of the API."""
        return self.path if self.scheme == "tcp" else ""


def is_containerd(text: str) -> bool:
    """Returns whether an address is one of containerd."""
    return text.startswith("containerd://")


def parse_containerd(text: str) -> tuple[str, str]:
    """Parses `containerd:///PATH?namespace=NAME` to the socket's path and the namespace.

    Without a path it is containerd's own, and the namespace is `default`, as with `ctr`. Raises EngineError.
    """
    parts = _split(text)
    query = parse_qs(parts.query, keep_blank_values=True)
    namespaces = query.pop("namespace", [_NAMESPACE])
    if parts.netloc or parts.fragment or query or len(namespaces) > 1 or not namespaces[0]:
        raise EngineError(f"containerd address {text} must be containerd:///PATH?namespace=NAME")
    return parts.path if parts.path.strip("/") else _CONTAINERD, namespaces[0]


def parse_address(text: str, tls: Tls | None = None) -> EngineAddress:
    """Parses an engine's address; `tls` is for `tcp`. Raises EngineError, for a scheme that is not served too."""
    scheme, separator, rest = text.partition("://")
    if not separator or not rest or any(ord(sign) <= 32 for sign in text):
        raise EngineError(f"failed to detect docker features: unable to parse docker host `{text}`", hint=NO_ENGINE)
    if scheme == "unix":
        return EngineAddress(text, scheme, rest)
    if scheme == "tcp":
        parts, port = _split(text), _port(text)
        if not parts.hostname:
            raise EngineError(f"docker host {text} must be tcp://HOST:PORT")
        port = port or (_TLS_PORT if tls else _PORT)
        return EngineAddress(text, scheme, parts.path.rstrip("/"), parts.hostname, port, tls=tls)
    if scheme == "ssh":
        return _ssh(text)
    where = "Windows alone has named pipes" if scheme == "npipe" else "known are unix, tcp, ssh and containerd"
    raise EngineError(f"docker host {text} cannot be used: {where}", hint=NO_ENGINE)


def _ssh(text: str) -> EngineAddress:
    parts, port = _split(text), _port(text)
    wrong = (
        "plain-text password is not supported"
        if parts.password is not None
        else "hostname is empty"
        if not parts.hostname
        else "query parameters are not allowed"
        if parts.query
        else "fragments are not allowed"
        if parts.fragment
        # `ssh` would take it for an option.
        else "user and hostname must not begin with -"
        if (parts.username or "").startswith("-") or parts.hostname.startswith("-")
        else ""
    )
    if wrong:
        shown = text if parts.password is None else f"ssh://{parts.hostname}"
        raise EngineError(f"docker host {shown}: ssh host connection is not valid: {wrong}")
    path = parts.path if parts.path.strip("/") else ""
    return EngineAddress(text, "ssh", path, parts.hostname or "", port, parts.username or "")


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise EngineError(f"docker host {text} is not a URL: {error}") from None


def _port(text: str) -> int:
    try:
        return urlsplit(text).port or 0
    except ValueError as error:
        raise EngineError(f"docker host {text} has an invalid port: {error}") from None
