"""Opens a connection to an engine's API: a Unix socket, TCP with or without TLS, or `ssh`.

Blocking, for a thread: what an engine is sent comes from one (`buildclient.results.load`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

from buildclient.base.oserrors import reason
from buildclient.engine.address import EngineAddress, Tls
from buildclient.engine.errors import NO_ENGINE, EngineError

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["CONNECT_TIMEOUT", "EngineLine", "dial", "ssh_command"]

_LOG = logging.getLogger("buildclient.engine")
CONNECT_TIMEOUT = 30.0
"""Seconds to connect."""
_LAST = 4096
"""Bytes of a program's last words."""


class EngineLine:
    """An open connection, and the program that carries it, if one does."""

    def __init__(
        self, sock: socket.socket, process: subprocess.Popen[bytes] | None = None, said: IO[bytes] | None = None
    ) -> None:
        """`said` has what the program wrote to standard error."""
        self.sock = sock
        # Of its own: http.client closes its socket as soon as an answer says that it is the last one.
        self._handle = socket.socket(fileno=os.dup(sock.fileno()))
        self._process = process
        self._said = said

    @property
    def may_be_asked(self) -> bool:
        """Whether a readable socket means an answer: with TLS it may be a session ticket."""
        return not hasattr(self.sock, "version")

    def why(self) -> str:
        """Returns what the program said before it ended; empty if there is none."""
        if self._process is None or self._said is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        if self._process.poll() is None:
            return ""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - _LAST))
        lines = self._said.read(_LAST).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ssh ended with status {self._process.returncode}"

    def cut(self) -> None:
        """Ends the connection; may be called in any thread, and twice. What another thread waits for then fails."""
        with contextlib.suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()

    def close(self) -> None:
        """Ends the connection and frees what it holds; for the thread that uses it."""
        self.cut()
        for sock in (self.sock, self._handle):
            with contextlib.suppress(OSError):
                sock.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        if self._said is not None:
            self._said.close()


def dial(address: EngineAddress, environ: Mapping[str, str], timeout: float = CONNECT_TIMEOUT) -> EngineLine:
    """Connects within `timeout` seconds; `environ` is what `ssh` runs with. Raises EngineError."""
    _LOG.debug("connect to %s%s", address.text, " with TLS" if address.tls else "")
    if address.scheme == "ssh":
        return _ssh(address, environ)
    try:
        if address.scheme == "unix":
            return EngineLine(_unix(address.path, timeout))
        return EngineLine(_tcp(address, timeout))
    except (OSError, ValueError) as error:
        raise EngineError(_words(address, error), hint=NO_ENGINE) from None


def ssh_command(address: EngineAddress) -> list[str]:
    """Returns the command that docker runs for an `ssh://` address (docker/cli `cli/connhelper`)."""
    remote = ["docker", *([f"--host=unix://{address.path}"] if address.path else []), "system", "dial-stdio"]
    login = [*(["-l", address.user] if address.user else []), *(["-p", str(address.port)] if address.port else [])]
    return ["ssh", *login, "-o", "ConnectTimeout=30", "-T", "--", address.host, shlex.join(remote)]


def _words(address: EngineAddress, error: Exception) -> str:
    if isinstance(error, TimeoutError):
        why = "no answer"
    else:
        why = getattr(error, "verify_message", "") or (reason(error) if isinstance(error, OSError) else str(error))
    if address.scheme == "unix":
        return (
            f"failed to detect docker features: failed to connect to the docker API at {address.text}; check if the "
            f"path is correct and if the daemon is running: dial unix {address.path}: connect: {why}"
        )
    return (
        f"failed to detect docker features: Cannot connect to the Docker daemon at {address.text}. "
        f"Is the docker daemon running? ({why})"
    )


def _unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _tcp(address: EngineAddress, timeout: float) -> socket.socket:
    sock = socket.create_connection((address.host, address.port), timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.tls is not None:
            return _context(address.tls).wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise
    return sock


def _context(tls: Tls) -> SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=tls.ca or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert and tls.key:
        context.load_cert_chain(tls.cert, tls.key, lambda: _no_password(tls.key))
    return context


def _no_password(key: str) -> str:
    # OpenSSL would ask on the terminal.
    raise ValueError(f"the client key {key} is encrypted; a key without a passphrase is needed")


def _ssh(address: EngineAddress, environ: Mapping[str, str]) -> EngineLine:
    ours, theirs = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - `EngineLine.close` closes it
    try:
        # A session of its own: Ctrl-C on the terminal is for the build, which then ends it.
        process = subprocess.Popen(
            ssh_command(address),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=said,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        said.close()
        raise EngineError(f"docker host {address.text}: ssh cannot be run: {reason(error)}") from None
    finally:
        theirs.close()
    return EngineLine(ours, process, said)
