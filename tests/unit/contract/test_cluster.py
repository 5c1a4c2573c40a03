"""What makes two clusters the same."""

from __future__ import annotations

import base64

import pytest

from buildclient.contract.cluster import Cluster, ca_fingerprint, same_cluster, same_server

PUBLIC = Cluster(server="https://api.example:6443", uid="u1", ca="sha256:a")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Cluster(server="https://10.0.0.1:6443", uid="u1"), True),
        (Cluster(server="https://api.example:6443", uid="u2", ca="sha256:a"), False),
        (Cluster(server="https://10.0.0.1:6443", ca="sha256:a"), True),
        (Cluster(server="https://api.example:6443", ca="sha256:b"), None),
        (Cluster(server="https://API.example.:6443/"), True),
        (Cluster(server="https://10.0.0.1:6443"), None),
        (Cluster(), None),
    ],
)
def test_a_cluster_is_told_by_its_uid_then_its_authority_then_its_server(other: Cluster, same: bool | None) -> None:
    """Addresses alone neither make two clusters of one nor one of two."""
    assert same_cluster(PUBLIC, other) is same
    assert same_cluster(other, PUBLIC) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example", "https://a.example:443/", True),
        ("http://a.example", "http://a.example:80", True),
        ("https://a.example/k8s/", "https://a.example/k8s", True),
        ("https://a.example/k8s", "https://a.example", False),
        ("https://[::1]:6443", "https://[::1]:6443/", True),
        ("https://a.example:x", "https://a.example", False),
        ("", "", False),
    ],
)
def test_addresses_are_compared_as_urls(one: str, other: str, same: bool) -> None:
    """A default port, a trailing slash and the case of a host make no other address."""
    assert same_server(one, other) is same


def test_a_fingerprint_is_of_the_certificates_alone() -> None:
    """Order, comments and line ends of a bundle do not count; text without certificates has none."""

    def pem(content: bytes) -> bytes:
        return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(content) + b"\n-----END CERTIFICATE-----\n"

    one, two = pem(b"one"), pem(b"two")
    assert ca_fingerprint(one + two) == ca_fingerprint(b"# a comment\n" + two.replace(b"\n", b"\r\n") + one)
    assert ca_fingerprint(one) != ca_fingerprint(two)
    assert ca_fingerprint(b"") == ca_fingerprint(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----") == ""
