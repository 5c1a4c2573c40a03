"""What is said on a keeper's socket: a line of JSON each way; behind the answer the body, or the tunnel's bytes.

    {"get": "/api/v1/namespaces/builds/pods", "query": {"labelSelector": "app=x"}}   {"size": 1234} and the body
    the same with "watched": true                                                     the same, "watched": true if it is
    {"tunnel": "builder-0", "namespace": "builds", "container": "buildkitd"}          {"open": true} and the bytes
    {"end": true}                                                                     {"ended": true}

An answer `{"error": "…"}` has nothing behind it: the command does without the keeper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildclient.contract.jsontext import read_json
from buildclient.contract.names import is_dns_label, is_dns_subdomain
from buildclient.contract.patterns import pattern

__all__ = ["MAX_LINE", "End", "Get", "Tunnel", "line", "read_line", "read_request"]

MAX_LINE = 64 << 10
"""Bytes of a line."""
_PATH = pattern(r"/api/v1/namespaces/[a-z0-9-]{1,63}/(pods|configmaps/[a-z0-9.-]{1,253})")
"""What a build reads: lists of pods, and a builder's ConfigMap."""


class Get(NamedTuple):
    """An object or a list is to be read."""

    path: str
    query: tuple[tuple[str, str], ...]
    watched: bool = False
    """Whether what a watch has told will do."""

    @property
    def asked(self) -> dict[str, Any]:
        """The request."""
        return {"get": self.path, "query": dict(self.query), "watched": self.watched}


class Tunnel(NamedTuple):
    """A byte stream to the daemon in a pod."""

    namespace: str
    pod: str
    container: str

    @property
    def asked(self) -> dict[str, Any]:
        """The request."""
        return {"tunnel": self.pod, "namespace": self.namespace, "container": self.container}


class End(NamedTuple):
    """The keeper is to end."""


def line(value: Mapping[str, Any]) -> bytes:
    """Returns a line."""
    return json.dumps(value).encode() + b"\n"


def read_line(data: bytes) -> dict[str, Any]:
    """Returns a line's object. Raises ValueError."""
    value = read_json(data, size=MAX_LINE)
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def read_request(data: bytes) -> Get | Tunnel | End:
    """Returns what is asked for. Raises ValueError for anything that a build does not ask."""
    value = read_line(data)
    if value.get("end") is True:
        return End()
    if isinstance(path := value.get("get"), str):
        query = value.get("query")
        if not _PATH.fullmatch(path) or not isinstance(query, dict):
            raise ValueError("a keeper reads no such path")
        return Get(path, tuple((str(name), str(text)) for name, text in query.items()), value.get("watched") is True)
    namespace, pod, container = (value.get(name) for name in ("namespace", "tunnel", "container"))
    if not (isinstance(namespace, str) and isinstance(pod, str) and isinstance(container, str)):
        raise ValueError("it asks for nothing")
    if not is_dns_label(namespace) or not is_dns_subdomain(pod) or not (not container or is_dns_label(container)):
        raise ValueError("no name of a pod")
    return Tunnel(namespace, pod, container)
