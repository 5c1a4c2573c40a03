"""OpenSSH's server on the loopback, with a configuration, keys and a known host of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from localcluster.tools import debian
from localcluster.tools.report import to_stderr
from tests.load import busy
from tests.registries import free_port

_PACKAGES = ("openssh-server", "openssh-client", "libwrap0")
_FILES = ("usr/sbin/sshd", "usr/bin/ssh", "usr/bin/ssh-keygen", "usr/lib/*/libwrap.so.0*")


class Sshd(NamedTuple):
    """A server, and what a client needs."""

    bin: Path
    """Folder with a program `ssh` that knows the host `build.example`; first on the client's PATH."""
    remote: Path
    """Folder of the programs that commands on the host find, besides the system's."""
    known_hosts: Path
    authorized_keys: Path


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Runs the server; root logs in with a key.

    It wants an account `sshd` and a folder below /run, which it gets in a mount namespace of its own.
    """
    files = debian.kept("sshd", _PACKAGES, _FILES, to_stderr)
    libraries = next((files / "usr/lib").iterdir())
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(libraries)}
    one = Sshd(folder / "bin", folder / "remote", folder / "known_hosts", folder / "authorized_keys")
    port = free_port()
    for path in (one.bin, one.remote):
        path.mkdir()
    for name in ("host", "user"):
        command = [str(files / "usr/bin/ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=30, env=environment)
    shutil.copy(folder / "user.pub", one.authorized_keys)
    one.known_hosts.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "client.conf").write_text(
        f"Host build.example\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {folder}/user\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {one.known_hosts}\n GlobalKnownHostsFile /dev/null\n"
    )
    ssh = one.bin / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {files}/usr/bin/ssh -F {shlex.quote(str(folder / "client.conf"))} "$@"\n')
    ssh.chmod(0o755)
    (folder / "passwd").write_text(
        Path("/etc/passwd").read_text().rstrip("\n") + "\nsshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n"
    )
    (folder / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {one.authorized_keys}\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\n"
        f"SetEnv PATH={one.remote}:/usr/bin:/bin\n"
    )
    script = (
        f"mount --bind {folder}/passwd /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd && "
        f"exec {files}/usr/sbin/sshd -D -e -f {folder}/sshd.conf"
    )
    log = folder / "sshd.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(["unshare", "-m", "sh", "-c", script], env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            _await(port, process, log)
            yield one
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + busy(20)
    while True:
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < until, "sshd does not listen"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
