"""Files of SSH private keys, and the agent in this process that answers list and sign with them.

Read are the forms that golang.org/x/crypto/ssh reads: OpenSSH's own, PKCS#1, PKCS#8 and SEC 1 in PEM; RSA, ECDSA and
Ed25519 keys, none with a passphrase.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from buildclient.base.gotext import go_quoted
from buildclient.session import agentwire as wire

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["KeyAgent", "KeyFileError", "SshKey", "read_key"]

_TYPES = (b"OPENSSH PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"PRIVATE KEY")
_CURVES = {
    "secp256r1": ("nistp256", "SHA256"),
    "secp384r1": ("nistp384", "SHA384"),
    "secp521r1": ("nistp521", "SHA512"),
}
_RSA = {0: ("ssh-rsa", "SHA1"), 2: ("rsa-sha2-256", "SHA256"), 4: ("rsa-sha2-512", "SHA512")}
"""The flags of a sign request, and the signature that they ask for."""


class KeyFileError(Exception):
    """Text that is no private key, or one that cannot be used; the message never shows the key."""


class SshKey(NamedTuple):
    """A private key and its public key's blob, by which requests name it."""

    public: bytes
    private: PrivateKeyTypes

    def __repr__(self) -> str:
        return "SshKey(…)"

    def sign(self, data: bytes, flags: int) -> tuple[str, bytes] | None:
        """Returns algorithm and signature; None for flags that no algorithm has."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

        key = self.private
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ssh-ed25519", key.sign(data)
        if isinstance(key, rsa.RSAPrivateKey):
            if flags not in _RSA:
                return None
            algorithm, digest = _RSA[flags]
            return algorithm, key.sign(data, padding.PKCS1v15(), getattr(hashes, digest)())
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        curve, digest = _CURVES[key.curve.name]
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(getattr(hashes, digest)())))
        return f"ecdsa-sha2-{curve}", wire.mpint(r) + wire.mpint(s)


def read_key(text: bytes) -> SshKey:
    """Reads the first private key of a file. Raises KeyFileError, as far as possible in x/crypto's words."""
    block = _first_block(text)
    if block is None:
        raise KeyFileError("ssh: no key found")
    kind, headers, der = block
    if b"ENCRYPTED" in headers:
        raise KeyFileError("ssh: this private key is passphrase protected")
    if kind not in _TYPES:
        raise KeyFileError(f"ssh: unsupported key type {go_quoted(kind.decode('utf-8', 'surrogateescape'))}")
    return _usable(_loaded(kind, der))


def _first_block(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Type, headers and contents of the first PEM block whose contents are base64."""
    kind: bytes | None = None
    body: list[bytes] = []
    for line in text.splitlines():
        line = line.rstrip()
        if line.startswith(b"-----BEGIN ") and line.endswith(b"-----"):
            kind, body = line[11:-5], []
        elif kind is not None and line == b"-----END %b-----" % kind:
            headers = [one for one in body if b":" in one]
            with contextlib.suppress(binascii.Error):
                return kind, b"\n".join(headers), base64.b64decode(b"".join(body[len(headers) :]), validate=True)
            kind = None
        else:
            body.append(line)
    return None


def _loaded(kind: bytes, der: bytes) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    pem = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (kind, base64.encodebytes(der), kind)
    load = serialization.load_ssh_private_key if kind == _TYPES[0] else serialization.load_pem_private_key
    try:
        return load(pem, None)
    except TypeError:
        raise KeyFileError("ssh: this private key is passphrase protected") from None
    except UnsupportedAlgorithm:
        raise KeyFileError("ssh: its type of key is not supported: use RSA, ECDSA or Ed25519") from None
    except (ValueError, NotImplementedError):
        # The latter for a point in a form that the library does not read.
        if _is_encrypted(kind, der):
            raise KeyFileError("ssh: this private key is passphrase protected") from None
        raise KeyFileError("ssh: the private key is malformed") from None


def _is_encrypted(kind: bytes, der: bytes) -> bool:
    """Whether an OpenSSH key names a cipher."""
    magic = b"openssh-key-v1\0"
    return kind == _TYPES[0] and der.startswith(magic) and not der[len(magic) :].startswith(wire.string(b"none"))


def _usable(key: object) -> SshKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    known = isinstance(key, (ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES
    )
    if not known:
        raise KeyFileError("ssh: its type of key is not supported: use RSA, ECDSA or Ed25519")
    assert isinstance(key, (ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))
    openssh = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return SshKey(base64.b64decode(openssh.split(b" ")[1]), key)


class KeyAgent:
    """Answers for private keys, without a socket."""

    def __init__(self, keys: list[SshKey]) -> None:
        self._keys = {key.public: key for key in keys}

    def answer(self, message: bytes) -> bytes:
        """Returns the answer to one message, FAILURE to everything but list and sign. Raises AgentError."""
        if message[0] == wire.LIST:
            return wire.identities_answer(self._keys)
        if message[0] != wire.SIGN:
            return wire.FAILURE
        asked = wire.read_sign_request(message)
        key = self._keys.get(asked.key)
        signed = key.sign(asked.data, asked.flags) if key else None
        return wire.sign_answer(*signed) if signed else wire.FAILURE
