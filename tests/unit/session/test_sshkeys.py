"""Private keys of ssh-keygen and openssl, and what the agent of this process signs with them."""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from buildclient.session import agentwire as wire
from buildclient.session.sshkeys import KeyAgent, KeyFileError, read_key

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "rsa-pem": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
    "rsa-pkcs8": ("-t", "rsa", "-b", "2048", "-m", "PKCS8"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384", "-m", "PEM"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
}
needs_ssh = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")


def keygen(folder: Path, *arguments: str, passphrase: str = "") -> tuple[bytes, bytes]:
    """The text of a new private key, and its public blob."""
    path = folder / "key"
    subprocess.run(
        ["ssh-keygen", "-q", *arguments, "-N", passphrase, "-f", str(path)],
        check=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    return path.read_bytes(), base64.b64decode(path.with_suffix(".pub").read_bytes().split()[1])


def sign_request(key: bytes, data: bytes, flags: int = 0) -> bytes:
    """A message of type SIGN."""
    return bytes((wire.SIGN,)) + wire.string(key) + wire.string(data) + flags.to_bytes(4, "big")


def signature_of(answer: bytes) -> tuple[bytes, bytes]:
    """Algorithm and signature of an answer to SIGN."""
    assert answer[0] == 14
    blob = answer[5:]
    (size,) = struct.unpack_from(">I", blob)
    return blob[4 : 4 + size], blob[8 + size :]


@needs_ssh
@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_ssh_keygen_list_and_sign(kind: str, tmp_path: Path) -> None:
    """The public blob is ssh-keygen's, and the library verifies the signatures under it."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    text, blob = keygen(tmp_path, *KINDS[kind])
    agent = KeyAgent([read_key(text)])
    assert agent.answer(bytes((wire.LIST,))) == wire.identities_answer([blob])
    public = serialization.load_ssh_public_key((tmp_path / "key.pub").read_bytes())
    if isinstance(public, rsa.RSAPublicKey):
        for flags, name, digest in ((2, b"rsa-sha2-256", hashes.SHA256()), (4, b"rsa-sha2-512", hashes.SHA512())):
            algorithm, signature = signature_of(agent.answer(sign_request(blob, b"data", flags)))
            assert algorithm == name
            public.verify(signature, b"data", padding.PKCS1v15(), digest)
        assert agent.answer(sign_request(blob, b"data", 6)) == wire.FAILURE
        return
    algorithm, signature = signature_of(agent.answer(sign_request(blob, b"data")))
    if isinstance(public, ed25519.Ed25519PublicKey):
        assert algorithm == b"ssh-ed25519"
        public.verify(signature, b"data")
        return
    assert isinstance(public, ec.EllipticCurvePublicKey)
    digest_of = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[public.key_size]
    assert algorithm == b"ecdsa-sha2-nistp%d" % public.key_size
    (size,) = struct.unpack_from(">I", signature)
    r, s = int.from_bytes(signature[4 : 4 + size], "big"), int.from_bytes(signature[8 + size :], "big")
    public.verify(utils.encode_dss_signature(r, s), b"data", ec.ECDSA(digest_of))


@needs_ssh
def test_only_list_and_sign_are_answered(tmp_path: Path) -> None:
    """Adding, removing, locking, extensions and keys that are not there fail."""
    text, blob = keygen(tmp_path, "-t", "ed25519")
    agent = KeyAgent([read_key(text)])
    for kind in set(range(1, 256)) - {wire.LIST, wire.SIGN}:
        assert agent.answer(bytes((kind,)) + wire.string(blob)) == wire.FAILURE
    assert agent.answer(sign_request(b"other", b"data")) == wire.FAILURE
    with pytest.raises(wire.AgentError):
        agent.answer(bytes((wire.SIGN,)) + b"\xff")


@needs_ssh
@pytest.mark.parametrize(
    "arguments", [("-t", "ed25519"), ("-t", "rsa", "-m", "PEM"), ("-t", "ecdsa")], ids=lambda one: "".join(one)
)
def test_a_key_with_a_passphrase_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """In one line, docker buildx's."""
    text, _ = keygen(tmp_path, *arguments, passphrase="long enough")
    with pytest.raises(KeyFileError, match=r"^ssh: this private key is passphrase protected$"):
        read_key(text)


def test_files_that_are_no_keys_are_refused() -> None:
    """In x/crypto's words; no message shows what the file holds."""
    body = base64.encodebytes(b"hunter2" * 9).decode()
    expected = {
        "": "no key found",
        "hunter2": "no key found",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2": "no key found",
        f"-----BEGIN FOO-----\n{body}-----END FOO-----\n": 'unsupported key type "FOO"',
        f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\n": "malformed",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}-----END OPENSSH PRIVATE KEY-----\n": "malformed",
        f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}-----END ENCRYPTED PRIVATE KEY-----": "unsupported key type",
    }
    for text, message in expected.items():
        with pytest.raises(KeyFileError) as caught:
            read_key(text.encode())
        assert message in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_file_of_many_broken_blocks_is_read_in_time() -> None:
    """A hundred thousand bytes of beginnings without an end take no quadratic time."""
    text = b"-----BEGIN A-----\n" * 5_000
    with pytest.raises(KeyFileError, match="no key found"):
        read_key(text)
