"""Keys and certificates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localcluster.instance import NODES, Instance
from localcluster.machine import pki


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own; nothing of it runs."""
    return Instance("test", 200, tmp_path / "state" / "test", tmp_path / "run" / "test")


def test_keys_are_made_once_and_completed_when_half_made(instance: Instance) -> None:
    """A second call changes nothing; without its mark, everything is made anew."""
    pki.ensure(instance)
    first = (instance.pki / "ca.crt").read_text()
    pki.ensure(instance)
    assert (instance.pki / "ca.crt").read_text() == first
    (instance.pki / "complete").unlink()
    (instance.pki / "admin.kubeconfig").unlink()
    pki.ensure(instance)
    assert (instance.pki / "ca.crt").read_text() != first
    assert json.loads(instance.kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == instance.server


def test_certificates_are_the_authoritys_and_say_who(instance: Instance) -> None:
    """Each is signed by the authority; nodes are named as the node authoriser wants; keys are root's alone."""
    pki.ensure(instance)
    authority = x509.load_pem_x509_certificate((instance.pki / "ca.crt").read_bytes())
    for path in instance.pki.glob("*.crt"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority)
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    for node in NODES:
        certificate = x509.load_pem_x509_certificate((instance.pki / f"node-{node.name}.crt").read_bytes())
        assert certificate.subject.rfc4514_string() == f"CN=system:node:{node.name},O=system:nodes"
    server = x509.load_pem_x509_certificate((instance.pki / "apiserver.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert instance.control_address in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert {path.stat().st_mode & 0o777 for path in instance.pki.glob("*.key")} == {0o600}
