"""Checks who may build with a builder: config in, frozen subjects of RBAC or problems out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from buildkit_builders.args import ClientArgs
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.values import dns_label, dns_subdomain, flag

__all__ = ["ClientSpec", "check_clients", "merged_clients"]

_KEYS = tuple(ClientArgs.__annotations__)
_ALLOWED = "give a ServiceAccount as namespace/name, user:NAME or group:NAME"
_LONGEST_NAME = 253
_ANYONE = ("user:system:anonymous", "group:system:unauthenticated")
"""Requests without any credential."""


@dataclass(frozen=True)
class ClientSpec:
    """A subject that may build, and what it may do besides."""

    kind: str
    """As RBAC has it: `ServiceAccount`, `User` or `Group`."""
    name: str
    namespace: str = ""
    """A ServiceAccount's."""
    nodes: tuple[str, ...] = ()
    """The builder nodes that it may use; empty for all."""
    events: bool = False
    """Whether it may read why a node has no ready pods."""
    scale: bool = False
    """Whether it may stop and start nodes."""

    @property
    def subject(self) -> dict[str, str]:
        """The subject of a RoleBinding."""
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"kind": self.kind, "name": self.name, "apiGroup": "rbac.authorization.k8s.io"}


def check_clients(raw: Any, nodes: Mapping[str, str], problems: Problems) -> tuple[ClientSpec, ...]:
    """Check the list of clients, each a text or in the spelling of `ClientArgs`. What is wrong is added to `problems`.

    `nodes` are the namespaces of the builder's nodes, by the nodes' names.
    """
    if raw in (None, "", []):
        return ()
    items = [raw] if isinstance(raw, str | Mapping) else raw
    if not isinstance(items, Sequence):
        problems.add(raw, f"give a list of clients: {_ALLOWED.removeprefix('give ')}")
        return ()
    found: list[ClientSpec] = []
    for number, one in enumerate(items):
        here = problems.at(f"[{number}]")
        client = _client(one, nodes, here)
        if client and any(other.subject == client.subject for other in found):
            here.add(one, "that client is in the list already")
        elif client:
            found.append(client)
    return tuple(found)


def merged_clients(clients: Sequence[ClientSpec]) -> tuple[ClientSpec, ...]:
    """Every subject once, with the rights of all its entries."""
    found: list[ClientSpec] = []
    for client in clients:
        place = next((n for n, one in enumerate(found) if one.subject == client.subject), None)
        if place is None:
            found.append(client)
        else:
            one = found[place]
            nodes = tuple(dict.fromkeys(one.nodes + client.nodes)) if one.nodes and client.nodes else ()
            found[place] = replace(
                one, nodes=nodes, events=one.events or client.events, scale=one.scale or client.scale
            )
    return tuple(found)


def _client(raw: Any, nodes: Mapping[str, str], problems: Problems) -> ClientSpec | None:
    given = raw if isinstance(raw, Mapping) else {"subject": raw}
    for key in given:
        if key not in _KEYS:
            problems.unknown(str(key), _KEYS, "key")
    rights = {key: flag(given.get(key), problems.at(key)) for key in ("events", "scale")}
    limited = _nodes(given.get("nodes"), nodes, problems.at("nodes"))
    where = problems.at("subject") if isinstance(raw, Mapping) else problems
    try:
        kind, namespace, name = _subject(given.get("subject"))
    except InvalidValue as error:
        where.refused(given.get("subject"), error)
        return None
    return ClientSpec(kind, name, namespace, limited, **rights)


def _subject(raw: Any) -> tuple[str, str, str]:
    """Kind, namespace and name. Raises InvalidValue."""
    if not isinstance(raw, str) or len(raw) > _LONGEST_NAME or not raw.isprintable():
        raise InvalidValue(_ALLOWED)
    if raw in _ANYONE:
        raise InvalidValue("a build runs anything in the builder's pods: give a client that has to log in")
    prefix, colon, name = raw.partition(":")
    if colon and prefix in ("user", "group"):
        if not name.strip():
            raise InvalidValue(_ALLOWED)
        return prefix.capitalize(), "", name
    namespace, slash, name = raw.partition("/")
    if not slash:
        raise InvalidValue(_ALLOWED, "clientServiceAccount makes one in the builder's namespace")
    try:
        return "ServiceAccount", dns_label(namespace), dns_subdomain(name)
    except InvalidValue:
        raise InvalidValue(_ALLOWED) from None


def _nodes(raw: Any, nodes: Mapping[str, str], problems: Problems) -> tuple[str, ...]:
    if raw in (None, "", []):
        return ()
    names = [raw] if isinstance(raw, str) else raw
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        problems.add(raw, "give a list of the builder's nodes")
        return ()
    for name in names:
        if name not in nodes:
            problems.unknown(name, tuple(nodes), "node")
    namespaces = {nodes[name] for name in names if name in nodes}
    for name, namespace in nodes.items():
        if namespace in namespaces and name not in names:
            allowed = (
                f"node {name} is in namespace {namespace} too, and RBAC cannot tell one node's pods from another's"
            )
            problems.add(list(names), allowed, "give each team's nodes a namespace of their own")
    return tuple(names)
