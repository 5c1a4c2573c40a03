"""What tests of SSH forwarding need: a static program that asks an agent in a step, keys, and OpenSSH's agent."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.load import busy

__all__ = ["agent", "ed25519_key", "probe", "rsa_key"]

_SOURCE = Path(__file__).with_name("agentprobe") / "probe.go"


@functools.cache
def probe() -> bytes:
    """The program of `agentprobe/probe.go` for linux/amd64, without libraries."""
    with tempfile.TemporaryDirectory(prefix="agentprobe-") as folder:
        path = Path(folder) / "probe"
        subprocess.run(
            ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(path), str(_SOURCE)],
            env={**os.environ, "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GOFLAGS": ""},
            check=True,
            timeout=240,
        )
        return path.read_bytes()


@functools.cache
def ed25519_key() -> bytes:
    """A private key in OpenSSH's form."""
    return ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@functools.cache
def rsa_key(passphrase: bytes = b"") -> bytes:
    """A private key as PKCS#1."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    guard: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, guard)


@contextlib.contextmanager
def agent(folder: Path) -> Iterator[str]:
    """The socket of OpenSSH's agent, which holds one key."""
    socket, key = folder / "agent.sock", folder / "agent-key"
    key.write_bytes(ed25519_key())
    key.chmod(0o600)
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as running:
        try:
            end = time.monotonic() + busy(10)
            while not socket.exists() and time.monotonic() < end:
                time.sleep(0.05)
            subprocess.run(
                ["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True, timeout=60
            )
            yield str(socket)
        finally:
            running.kill()
