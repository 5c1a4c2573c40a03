"""Real engines for the tests: Debian's dockerd with its containerd, and Podman's service.

They run in a network namespace that has nothing but loopback, on folders of their own, and end with the context.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from localcluster import tools

__all__ = ["Engine", "api", "dockerd", "network", "podman"]

_SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"


class Engine(NamedTuple):
    """A running engine."""

    socket: Path
    containerd: Path = Path()
    """The socket of dockerd's own containerd."""

    @property
    def host(self) -> str:
        """Its address as DOCKER_HOST has it."""
        return f"unix://{self.socket}"

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None if it has none of that name."""
        status, found = api(self.socket, f"/images/{name}/json")
        return found if status == 200 else None

    def remove(self, name: str) -> None:
        """Removes an image."""
        api(self.socket, f"/images/{name}?force=1", "DELETE")


def api(path: Path, request: str, method: str = "GET") -> tuple[int, Any]:
    """Status and value of one request to an engine's API."""
    connection = http.client.HTTPConnection("docker", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    try:
        connection.sock.connect(str(path))
        connection.request(method, request)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


@contextlib.contextmanager
def network() -> Iterator[str]:
    """A network namespace with loopback alone; gives its file."""
    name = f"engines-{uuid.uuid4().hex[:8]}"
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM}"}
    for command in (["netns", "add", name], ["-n", name, "link", "set", "lo", "up"]):
        subprocess.run(["ip", *command], env=environment, check=True, timeout=30)
    try:
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "del", name], env=environment, check=False, timeout=30)


@contextlib.contextmanager
def dockerd(folder: Path, net: str) -> Iterator[Engine]:
    """A Docker Engine without a bridge and without packet filters."""
    program = tools.ensure("dockerd")
    engine = Engine(folder / "docker.sock", folder / "exec/containerd/containerd.sock")
    (folder / "config.json").write_text("{}")
    command = [
        "--iptables=false", "--ip6tables=false", "--bridge=none", "--config-file", folder / "config.json",
        "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid",
        "--host", engine.host,
    ]  # fmt: skip
    with _running(folder, net, program, command, lambda: _answers(engine.socket)):
        yield engine


@contextlib.contextmanager
def podman(folder: Path, net: str) -> Iterator[Engine]:
    """Podman's service, which answers the Docker Engine API."""
    with tempfile.TemporaryDirectory(prefix="podman-") as run:  # Podman takes 50 characters at most.
        yield from _podman(folder, Path(run), net)


def _podman(folder: Path, run: Path, net: str) -> Iterator[Engine]:
    program, engine = tools.ensure("podman"), Engine(folder / "podman.sock")
    (folder / ".config/containers").mkdir(parents=True)
    (folder / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (folder / "containers.conf").write_text(
        f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nconmon_path = ["{tools.ensure("conmon")}"]\n'
    )
    environment = {"CONTAINERS_CONF": str(folder / "containers.conf"), "TMPDIR": str(folder)}
    command = [
        "--root", folder / "data", "--runroot", run, "--tmpdir", folder / "tmp", "--storage-driver", "vfs",
        "system", "service", "--time", "0", engine.host,
    ]  # fmt: skip
    with _running(folder, net, program, command, lambda: _answers(engine.socket), environment):
        yield engine


def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return api(path, "/info")[0] == 200
    return False


@contextlib.contextmanager
def _running(
    folder: Path,
    net: str,
    program: Path,
    command: list[Any],
    ready: Callable[[], bool],
    more: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """A daemon in the namespace until the context ends; its log is in the folder."""
    places = {str(tools.ensure(name).parent) for name in ("containerd", "runc")}
    environment = {
        **os.environ,
        "PATH": ":".join([*sorted(places), _SYSTEM]),
        "LD_LIBRARY_PATH": ":".join(map(str, _libraries(program))),
        "HOME": str(folder),
        **(more or {}),
    }
    with (folder / "log").open("w") as log:
        # `ip netns exec` would hide the cgroups under a new /sys.
        daemon = subprocess.Popen(
            ["nsenter", f"--net={net}", "--", program, *map(str, command)], env=environment, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 60
        while not ready():
            alive = daemon.poll() is None and time.monotonic() < until
            assert alive, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait(10)
        _clear(folder)


def _libraries(program: Path) -> list[Path]:
    """Folders of shared libraries that came with a program out of Debian packages."""
    root = next((parent for parent in program.parents if "-deb-" in parent.name), None)
    return sorted(root.glob("**/*-linux-gnu")) if root else []


def _clear(folder: Path) -> None:
    """Removes what is mounted below a folder, and the folder."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for mount in sorted((line.split()[4] for line in lines if line.split()[4].startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, timeout=30)
    shutil.rmtree(folder, ignore_errors=True)
