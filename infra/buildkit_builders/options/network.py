"""The options of who reaches a node's pods over the network: its NetworkPolicy, and its endpoint with mutual TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from buildclient.contract.address import AddressError, host_port
from buildclient.contract.urls import bracketed
from buildkit_builders.options import values
from buildkit_builders.options.kinds import BOOLEAN, SUBDOMAIN
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow

__all__ = [
    "ENDPOINT",
    "ISSUER",
    "NETWORK_ROWS",
    "SECRET",
    "Issuer",
    "NetworkOptions",
    "check_network",
    "wants_certificates",
]

POLICY = "network-policy"
ENDPOINT = "endpoint."
SECRET, ISSUER = f"{ENDPOINT}secret", f"{ENDPOINT}issuer"
_PORT = 1234
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
_ISSUERS = ("Issuer", "ClusterIssuer")
_MTLS = f"{SECRET} or {ISSUER} opens a port for clients with a certificate"


class Issuer(NamedTuple):
    """Who issues certificates: an object of cert-manager."""

    kind: str
    name: str


@dataclass(frozen=True)
class NetworkOptions:
    """The values of these options."""

    network_policy: bool
    endpoint_secret: str
    endpoint_issuer: Issuer | None
    endpoint_client_ca: str
    """A Secret's name; empty for that of the server's certificate."""
    endpoint_port: int
    endpoint_service_type: str
    endpoint_address: str
    """HOST:PORT that clients are told; empty for the Service's name in the cluster."""

    @property
    def has_endpoint(self) -> bool:
        """Whether the node's BuildKit listens on a port, for clients with a certificate."""
        return bool(self.endpoint_secret or self.endpoint_issuer)


def _issuer(raw: object) -> Issuer:
    allowed = "give an Issuer's name, or ClusterIssuer/NAME"
    kind, slash, name = values.text_of(raw, allowed).rpartition("/")
    if slash and kind not in _ISSUERS:
        raise InvalidValue(allowed)
    return Issuer(kind or _ISSUERS[0], values.dns_subdomain(name))


def _address(raw: object) -> str:
    """HOST or HOST:PORT; an IPv6 address with a port has brackets."""
    allowed = "give HOST or HOST:PORT, as clients reach it"
    text = values.text_of(raw, allowed)
    try:
        return bracketed(str(ipaddress.IPv6Address(text)))
    except ValueError:
        pass
    try:
        host_port(text)
    except AddressError:
        raise InvalidValue(allowed) from None
    return text


def _row(name: str, kind: Kind, default: Any, example: str, about: str, default_text: str) -> OptionRow:
    return OptionRow(f"{ENDPOINT}{name}", kind, default, example, about, default_text, empty_is_unset=True)


NETWORK_ROWS = (
    OptionRow(
        POLICY,
        BOOLEAN,
        False,
        default_text="`false`",
        example="true",
        about="Whether a NetworkPolicy lets nothing into the pods and everything out ([access.md](access.md#network)).",
    ),
    _row(
        "secret", SUBDOMAIN, "", "buildkit-endpoint",
        "Opens a TCP port for clients with a certificate ([access.md](access.md#an-endpoint-with-mutual-tls)): the "
        "Secret of type kubernetes.io/tls with BuildKit's certificate, and as `ca.crt` the authority of clients.",
        "no port",
    ),
    _row(
        "issuer", Kind("Issuer's name", "string", _issuer), None, "ClusterIssuer/internal-ca",
        "The same with a certificate of cert-manager, from this Issuer or ClusterIssuer.", "no port",
    ),
    _row(
        "client-ca", SUBDOMAIN, "", "ci-ca", "The Secret whose `ca.crt` has signed the clients' certificates.",
        "that of BuildKit's certificate",
    ),
    _row(
        "port", Kind("whole number", "integer", values.integer(1, 65535)), _PORT, "8372",
        "The port of pods and Service.", f"`{_PORT}`",
    ),
    _row(
        "service-type", Kind("type of Service", "string", values.choice(_SERVICE_TYPES)), _SERVICE_TYPES[0],
        "LoadBalancer", "The type of the Service: " + ", ".join(f"`{one}`" for one in _SERVICE_TYPES) + ".",
        f"`{_SERVICE_TYPES[0]}`",
    ),
    _row(
        "address", Kind("HOST or HOST:PORT", "string", _address), "", "buildkit.example:1234",
        "Where clients reach the port, for the builder output and a certificate of cert-manager.",
        "the Service's name in the cluster",
    ),
)  # fmt: skip


def check_network(given: Mapping[str, Any], problems: Problems) -> None:
    """Check these options against the others; what does not go together is added to `problems`."""
    if given.get(POLICY) and given.get("hostnetwork"):
        problems.at(POLICY).add(True, "NetworkPolicies do not hold in the network of the Kubernetes node: hostnetwork")
    if given.get(SECRET) and given.get(ISSUER):
        problems.at(ISSUER).add(None, f"BuildKit's certificate comes from it or from {SECRET}: leave one out")
    if not (given.get(SECRET) or given.get(ISSUER)):
        for name in given:
            if name.startswith(ENDPOINT):
                problems.at(name).add(None, f"it needs {SECRET} or {ISSUER}: there is no port without certificates")
    _check_patch(given.get("pod-patch") or {}, problems)


def _check_patch(patch: Mapping[str, Any], problems: Problems) -> None:
    """Refuse a port without client certificates that a patch would open."""
    spec = patch.get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    for container in containers if isinstance(containers, list) else ():
        words = [str(one) for name in ("command", "args") for one in container.get(name) or () if container]
        for word in words:
            if "tcp://" in word and container.get("name") == "buildkitd" and not wants_certificates(words):
                problems.at("pod-patch").add(word, f"without client certificates anyone may build there; {_MTLS}")


def wants_certificates(words: Sequence[str]) -> bool:
    """Whether buildkitd, called with these words, asks every client of a port for a certificate."""
    return any(word.lstrip("-").startswith(("tlscacert", "tlsdir")) for word in words)
