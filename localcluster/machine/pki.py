"""Keys, certificates and kubeconfigs of one cluster.

Certificates carry key usage and key identifiers, which strict verifiers (Python 3.13's default) ask for.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster.instance import NODES, Instance
from localcluster.machine.files import write_text

__all__ = ["ensure"]

_DONE = "complete"
_YEARS = 10


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


# file name -> (common name, organisation) of the clients of the apiserver
_CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("controller-manager", "system:masters"),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
    **{f"node-{node.name}": (f"system:node:{node.name}", "system:nodes") for node in NODES},
}


def ensure(instance: Instance) -> None:
    """Makes everything below `instance.pki`, once; an interrupted making starts afresh."""
    folder = instance.pki
    if (folder / _DONE).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    authority = _authority(instance)
    _write(folder, "ca", authority)
    addresses = [instance.control_address, "127.0.0.1", "10.96.0.1"]
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    _write(folder, "apiserver", _issue(authority, "kube-apiserver", "", addresses, names))
    for name, (common, organisation) in _CLIENTS.items():
        pair = _issue(authority, common, organisation)
        _write(folder, name, pair)
        write_text(folder / f"{name}.kubeconfig", _kubeconfig(instance, authority, pair), 0o600)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_text(folder / "sa.key", _pem(key), 0o600)
    (folder / _DONE).touch()


def _authority(instance: Instance) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{instance.name}-ca", "")
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _issue(
    authority: _Pair, common: str, organisation: str, addresses: list[str] | None = None, names: list[str] | None = None
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(common, organisation), authority.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if addresses:
        alternative: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        alternative += [x509.DNSName(name) for name in names or []]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
    )


def _name(common: str, organisation: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, pair: _Pair) -> None:
    write_text(folder / f"{name}.crt", _certificate(pair.certificate))
    write_text(folder / f"{name}.key", _pem(pair.key), 0o600)


def _certificate(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def _kubeconfig(instance: Instance, authority: _Pair, pair: _Pair) -> str:
    def data(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    cluster = {
        "server": instance.server,
        "certificate-authority-data": data(_certificate(authority.certificate)),
    }
    user = {"client-certificate-data": data(_certificate(pair.certificate)), "client-key-data": data(_pem(pair.key))}
    name = "local" if instance.name == "lc" else f"local-{instance.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(config, indent=1) + "\n"
