"""Identifies the cluster of a builder.

A URL does not identify a cluster: one cluster may have a public name, a VPN address, a tunnel and an internal address,
and one address, such as 127.0.0.1:6443, may lead to many clusters over time. The uid of its namespace kube-system
does; without permission to read that, its certificate authority serves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from buildclient.contract.patterns import pattern

__all__ = ["Cluster", "ca_fingerprint", "same_cluster", "same_server"]

_CERTIFICATE = pattern(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


class Cluster(NamedTuple):
    """What is known of a cluster; any field may be empty."""

    context: str = ""
    """The kubeconfig context, if the builder's config names one."""
    server: str = ""
    """The API server's URL as in the kubeconfig."""
    uid: str = ""
    """The uid of namespace kube-system."""
    ca: str = ""
    """The fingerprint of the certificate authority (`ca_fingerprint`)."""

    def __str__(self) -> str:
        where = self.server or "a cluster without a recorded server"
        return f"{where} (uid {self.uid})" if self.uid else where


def same_cluster(one: Cluster, other: Cluster) -> bool | None:
    """Return whether two are the same cluster; None if that cannot be told.

    uids decide. Without them an equal certificate authority, or an equal server without two different authorities,
    means the same cluster; all else is unknown, since a cluster may have several addresses and renew its authority.
    """
    if one.uid and other.uid:
        return one.uid == other.uid
    if one.ca and other.ca:
        return True if one.ca == other.ca else None
    return True if same_server(one.server, other.server) else None


def same_server(one: str, other: str) -> bool:
    """Return whether two URLs are the same address; an empty one equals no other."""
    return bool(one) and _normalised(one) == _normalised(other)


def ca_fingerprint(pem: bytes) -> str:
    """Return `sha256:…` over the certificates of a PEM bundle, in any order; empty if it has none."""
    certificates = []
    for body in _CERTIFICATE.findall(pem):
        try:
            certificates.append(base64.b64decode(b"".join(body.split()), validate=True))
        except (binascii.Error, ValueError):
            return ""
    if not certificates:
        return ""
    digest = hashlib.sha256()
    for certificate in sorted(set(certificates)):
        digest.update(hashlib.sha256(certificate).digest())
    return f"sha256:{digest.hexdigest()}"


def _normalised(server: str) -> tuple[str, str, str, str]:
    """Scheme, host, port and path, equal for equal addresses."""
    try:
        parts = urlsplit(server.strip())
        host, port = parts.hostname or "", str(parts.port or _DEFAULT_PORTS.get(parts.scheme, ""))
    except ValueError:
        return "", server, "", ""
    return parts.scheme, host.rstrip("."), port, parts.path.rstrip("/")
