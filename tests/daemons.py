"""A BuildKit daemon of its own, without a cluster: on a Unix socket, and on a TCP port of the loopback."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from localcluster.tools import ensure
from tests.load import busy
from tests.registries import free_port


class Running(NamedTuple):
    """A daemon that answers."""

    socket: str
    """`unix://…`."""
    port: int
    """The TCP port."""
    log: Path


@contextlib.contextmanager
def buildkitd(
    program: Path | str, folder: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[Running]:
    """Runs a buildkitd; the local registry is plain HTTP to it."""
    folder.mkdir(exist_ok=True)
    config, log, path, port = folder / "buildkitd.toml", folder / "log", folder / "s", free_port()
    config.write_text(f'[registry."{environment["REGISTRY"]}"]\n  http = true\n')
    command = [str(program), "--config", str(config), "--root", str(folder / "root"), "--containerd-worker=false"]
    command += ["--addr", f"unix://{path}", "--addr", f"tcp://127.0.0.1:{port}", *arguments]
    found = {**environment, "PATH": f"{ensure('runc').parent}:{environment['PATH']}"}
    with log.open("wb") as out, subprocess.Popen(command, env=found, stdout=out, stderr=out) as process:
        try:
            _await(path, process, log)
            yield Running(f"unix://{path}", port, log)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _await(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + busy(30)
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < until, "the daemon does not listen"
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.connect(str(path))
            return
        time.sleep(0.05)
