"""`buildclient dial-stdio` as a process, in front of a socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def dial(folder: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs the command, with nothing of this machine's environment that names a builder."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "buildclient", "dial-stdio", *arguments],
        env={**kept, "HOME": str(folder), **environment}, cwd=folder, input=stdin, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_bytes_go_both_ways_to_the_end(tmp_path: Path) -> None:
    """Every byte value, and 3 MB of them; the daemon sees the end of standard input."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    data, got = bytes(range(256)) * 12_000, bytearray()

    def serve() -> None:
        one, _ = listener.accept()
        one.sendall(SETTINGS)
        while piece := one.recv(65536):
            got.extend(piece)
        one.sendall(data[::-1])
        one.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    done = dial(tmp_path, stdin=data, BUILDKIT_HOST=f"unix://{tmp_path}/s", DOCKER_DEFAULT_PLATFORM="")
    thread.join(10)
    assert (done.returncode, done.stderr) == (0, b"")
    assert got == data
    assert done.stdout == SETTINGS + data[::-1]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ["--addr", "unix:///nowhere"],
            125,
            "ERROR: cannot reach BuildKit at unix:///nowhere: no such file or directory",
        ),
        (["--addr", "unix:///nowhere", "--platform", "linux/amd64"], 125, "no such file or directory"),
        (["--addr", "nowhere"], 2, "ERROR: --addr nowhere: must be unix://PATH"),
        (["--addr", "unix:///s", "--platform", "a b"], 2, "ERROR: --platform: "),
        (["--addr", "unix:///s", "--platform", "linux/amd64,linux/arm64"], 2, "wants one platform"),
        (["--addr", "unix:///s", "--progress", "loud"], 2, "unknown progress mode: loud"),
        ([], 2, "no builder: there is no Pulumi project"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], status: int, words: str, tmp_path: Path) -> None:
    """On standard error; nothing on standard output."""
    done = dial(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert words in done.stderr.decode()
    assert len(done.stderr.decode().strip().splitlines()) == 1
