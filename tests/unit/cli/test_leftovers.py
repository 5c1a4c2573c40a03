"""What a command leaves behind that is killed or interrupted: no file and no traceback, whatever the moment."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load import busy
from tests.registries import certificate_files

RUN = "import sys; sys.argv[0] = 'buildclient'; from buildclient.cli.main import run; run()"
KILLED_WHILE_LOADING = f"""
import os, signal, ssl
before = ssl.SSLContext.load_cert_chain
def load(*arguments):
    before(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
ssl.SSLContext.load_cert_chain = load
{RUN}
"""


@contextlib.contextmanager
def silent(folder: Path) -> Iterator[str]:
    """The address of a daemon that lets everybody in and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "d"))
        listener.listen()
        yield f"unix://{folder}/d"


def output(**node: object) -> str:
    """A builder output with one node."""
    nodes = [{"name": "one", "platforms": ["linux/amd64"], **node}]
    return json.dumps({"version": 1, "name": "kube", "namespace": "test", "nodes": nodes})


def environ(folder: Path, **more: str) -> dict[str, str]:
    """The process's own environment, with temporary files in a folder of their own."""
    (folder / "tmp").mkdir()
    return {**os.environ, "TMPDIR": str(folder / "tmp"), "HOME": str(folder), **more}


def test_a_key_of_the_kubeconfig_is_never_left_in_a_folder(tmp_path: Path) -> None:
    """Killed at the moment at which TLS reads certificate and key from where they were put for it."""
    files = certificate_files(tmp_path, "127.0.0.1")
    certificate, key = (base64.b64encode(path.read_bytes()).decode() for path in files)
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
    }
    (tmp_path / "config").write_text(json.dumps(kubeconfig))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_LOADING, "ls", "--from-cluster", "test/kube"],
        env=environ(tmp_path, KUBECONFIG=str(tmp_path / "config")),
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path / "tmp") == []


def test_a_build_that_is_killed_leaves_nothing_of_its_way_to_the_daemon(tmp_path: Path) -> None:
    """SIGKILL, while it waits for a daemon's answer."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "d"))
        daemon.listen()
        daemon.settimeout(busy(20))
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "build", str(tmp_path)],
            env=environ(tmp_path, BUILDCLIENT_BUILDER=output(address=f"unix://{tmp_path}/d")),
            stderr=subprocess.DEVNULL,
        )
        connection, _ = daemon.accept()
        assert connection.recv(1)
        process.kill()
        process.wait(busy(10))
    assert os.listdir(tmp_path / "tmp") == []


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """The folder with a Dockerfile from standard input; that of a build which still runs stays."""

    def started() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "build", "-f", "-", str(tmp_path / "context")],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin
        process.stdin.write("FROM scratch\n")
        process.stdin.close()
        deadline = time.monotonic() + busy(20)
        # Its lock, and the handle by which the daemon reads.
        while sum(place.startswith(str(tmp_path / "tmp")) for place in _open(process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    (tmp_path / "context").mkdir()
    with silent(tmp_path) as address:
        environment = environ(tmp_path, BUILDCLIENT_BUILDER=output(address=address))
        running, killed = started(), started()
        killed.kill()
        killed.wait(10)
        assert len(os.listdir(tmp_path / "tmp")) == 2
        third = started()
        # One of its own, and that of the first.
        assert len(os.listdir(tmp_path / "tmp")) == 2
        for process in (running, third):
            process.terminate()
            process.wait(busy(10))
    assert os.listdir(tmp_path / "tmp") == []


def _open(process: int) -> list[str]:
    """What a process holds open."""
    found = []
    with contextlib.suppress(OSError):
        for handle in os.scandir(f"/proc/{process}/fd"):
            found.append(os.readlink(handle.path))
    return found


INTERRUPTED_AT_A_MODULE = """
import os, sys
sys.argv[0] = {program!r}
import signal
left, loads = {number}, False
class Finder:
    def find_spec(self, name, path=None, target=None):
        global left, loads
        left -= loads
        loads = loads or name == {package!r}
        if left == 0:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from {module} import run
run()
"""


@pytest.mark.parametrize(
    ("program", "module", "arguments"),
    [
        ("buildclient", "buildclient.cli.main", ("ls", "--builder-file", "builder.json")),
        ("builders", "buildkit_builders.cli.main", ("preview", "--stack", "nosuch")),
    ],
    ids=["buildclient", "builders"],
)
def test_an_interrupt_while_it_loads_is_no_traceback(
    tmp_path: Path, program: str, module: str, arguments: tuple[str, ...]
) -> None:
    """At the import of one module or another, from the first that its own one asks for."""
    package = module.partition(".")[0]
    (tmp_path / "builder.json").write_text(output(address="unix:///nowhere/socket"))
    environment = environ(tmp_path)
    for number in (1, 4, 10, 30, 60, 90, 150, 400, 700):
        script = INTERRUPTED_AT_A_MODULE.format(program=program, module=module, package=package, number=number)
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment,
            cwd=tmp_path,
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, f"at module {number}"
        assert done.returncode in (-signal.SIGINT, 130, 0, 1, 2), done.stderr
