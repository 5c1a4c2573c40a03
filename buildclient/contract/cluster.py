"""Which cluster a builder stands in.

A URL is where a cluster is looked for, not what it is: one cluster has a public name, a VPN address, a tunnel, and an
address from within; and one address, such as 127.0.0.1:6443, leads to many clusters over time. What is the cluster's
own is the uid of its namespace kube-system, and, where that may not be read, its certificate authority.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Cluster", "ca_fingerprint", "same_cluster", "same_server"]

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


class Cluster(NamedTuple):
    """What is known of a cluster; any field may be empty."""

    context: str = ""
    """The kubeconfig's context, if the builder's config names one."""
    server: str = ""
    """The API server's URL as the kubeconfig had it."""
    uid: str = ""
    """The uid of namespace kube-system."""
    ca: str = ""
    """The fingerprint of the certificate authority (`ca_fingerprint`)."""

    def __str__(self) -> str:
        where = self.server or "a cluster without a recorded server"
        return f"{where} (uid {self.uid})" if self.uid else where


def same_cluster(one: Cluster, other: Cluster) -> bool | None:
    """Whether two are the same cluster; None where what is known of them does not tell.

    uids decide. Without them an equal certificate authority, or an equal server without two different authorities,
    means the same cluster; all else is unknown, since a cluster may have several addresses and renew its authority.
    """
    if one.uid and other.uid:
        return one.uid == other.uid
    if one.ca and other.ca:
        return True if one.ca == other.ca else None
    return True if same_server(one.server, other.server) else None


def same_server(one: str, other: str) -> bool:
    """Whether two URLs are the same address; an empty one is the same as none."""
    return bool(one) and _normalised(one) == _normalised(other)


def ca_fingerprint(pem: bytes) -> str:
    """`sha256:` and the hash over the certificates of a PEM bundle in any order; empty where there are none."""
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
