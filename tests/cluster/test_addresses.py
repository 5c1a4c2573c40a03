"""A bare buildkitd serves at a Unix socket, over TLS and over ssh, and what is wrong is one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from localcluster.tools import ensure
from tests.certificates import Authority
from tests.cluster.client_builder import BIN, Ran
from tests.daemons import Running, buildkitd
from tests.load import busy
from tests.sshd import Sshd, sshd

pytestmark = pytest.mark.cluster


class Rig(NamedTuple):
    """A daemon and the files that lead to it."""

    daemon: Running
    plain: Running
    """Another one, whose TCP port is without TLS."""
    folder: Path
    environment: Mapping[str, str]
    authority: Authority

    @property
    def tls(self) -> str:
        """The address of the TCP port, with a client certificate that is accepted."""
        return self.address("client")

    def address(self, client: str = "", ca: str = "test-ca", name: str = "daemon.example") -> str:
        """The TCP address with these files."""
        files = f",cert={self.folder}/{client}.pem,key={self.folder}/{client}-key.pem" if client else ""
        return f"tcp://127.0.0.1:{self.daemon.port},cacert={self.folder}/{ca}.pem,servername={name}{files}"

    def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Ran:
        """Runs `buildclient` in the folder."""
        done = subprocess.run(
            [str(BIN / "buildclient"), *arguments], env={**self.environment, **environment}, cwd=self.folder,
            timeout=120, capture_output=True, input=stdin, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def context(self, dockerfile: str) -> str:
        """A context's folder with a file that is new each time."""
        folder = self.folder / f"context-{uuid.uuid4().hex}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.environment["BASE_IMAGE"]))
        (folder / "file").write_text(folder.name)
        return str(folder)


@pytest.fixture(scope="module")
def rig(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A daemon that wants client certificates on its TCP port, and one that does not."""
    folder = tmp_path_factory.mktemp("addr")
    authority, foreign = Authority(folder), Authority(folder, "foreign-ca")
    server = authority.issue("daemon", "daemon.example")
    authority.issue("client")
    authority.issue("late", days=-1)
    foreign.issue("stranger")
    tls = ["--tlscacert", str(authority.ca), "--tlscert", str(server.cert), "--tlskey", str(server.key)]
    environment = {**cluster, "HOME": str(folder), "DOCKER_CONFIG": str(folder / "docker")}
    environment.pop("BUILDCLIENT_BUILDER", None)
    program = ensure("buildkitd")
    with (
        buildkitd(program, folder / "d", environment, tls) as daemon,
        buildkitd(program, folder / "p", environment) as plain,
    ):
        yield Rig(daemon, plain, folder, environment, authority)


@pytest.fixture(scope="module")
def host(rig: Rig) -> Iterator[Sshd]:
    """An ssh server on which buildctl is found."""
    folder = rig.folder / "ssh"
    folder.mkdir()
    with sshd(folder) as one:
        (one.remote / "buildctl").symlink_to(ensure("buildctl"))
        yield one


def _path(host: Sshd) -> str:
    return f"{host.bin}:{os.environ['PATH']}"


def test_a_build_at_a_socket_and_over_tls(rig: Rig) -> None:
    """Context, step and exported files are the same by both ways."""
    for number, address in enumerate((rig.daemon.socket, rig.tls)):
        context = rig.context("FROM BASE AS run\nCOPY file /f\nRUN cat /f\nFROM scratch\nCOPY --from=run /f /f\n")
        done = rig.run("build", "--addr", address, "-o", f"out{number}", "--progress", "plain", context)
        assert done.status == 0, done.err
        assert (rig.folder / f"out{number}" / "f").read_text() == Path(context, "file").read_text()
    shown = rig.run("inspect", "--addr", rig.tls)
    assert f"tcp://127.0.0.1:{rig.daemon.port}" in shown.out
    assert "running" in shown.out


def test_buildkit_host_names_a_daemon_outside_of_a_project(rig: Rig) -> None:
    """Buildctl's variable is taken where no flag and no project names a builder; a wrong one is said."""
    assert "running" in rig.run("ls", BUILDKIT_HOST=rig.daemon.socket).out
    done = rig.run("ls", BUILDKIT_HOST="docker-container://x")
    assert done.status == 2
    assert "BUILDKIT_HOST docker-container://x: must be unix://PATH" in done.last


def test_two_addresses_are_two_nodes(rig: Rig) -> None:
    """Each builds its platforms, and one index is pushed over both."""
    tag = f"{rig.environment['REGISTRY']}/addr-{uuid.uuid4().hex[:8]}:1"
    first, second = f"tcp://127.0.0.1:{rig.plain.port},platform=linux/amd64", f"{rig.tls},platform=linux/arm64,name=arm"
    done = rig.run(
        "build", "--addr", first, "--addr", second, "--platform", "linux/amd64,linux/arm64", "--push", "-t", tag,
        "--progress", "plain", rig.context("FROM scratch\nCOPY file /\n"),
        BUILDCLIENT_INSECURE_REGISTRIES=tag.partition("/")[0],
    )  # fmt: skip
    assert done.status == 0, done.err
    listed = rig.run("ls", "--addr", first, "--addr", second).out
    assert "remote" in listed
    assert "linux/arm64*" in listed


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"client": ""}, "it wants a client certificate"),
        ({"client": "late"}, "it does not accept the client certificate"),
        ({"client": "stranger"}, "it does not"),
        (
            {"client": "client", "name": "other.example"},
            "Hostname mismatch, certificate is not valid for 'other.example'",
        ),
        ({"client": "client", "ca": "foreign-ca"}, "its certificate is not trusted"),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else None,
)
def test_tls_that_fails_is_one_line(rig: Rig, files: dict[str, str], words: str) -> None:
    """It says which side did not accept what."""
    done = rig.run("build", "--addr", rig.address(**files), "-q", rig.context("FROM scratch\nCOPY file /\n"))
    assert done.status == 125, done.err
    assert done.last.startswith(f"ERROR: cannot reach BuildKit at tcp://127.0.0.1:{rig.daemon.port}: "), done.err
    assert words in done.last
    assert len(done.err.strip().splitlines()) == 1, done.err


def test_tls_where_there_is_none_and_none_where_there_is(rig: Rig) -> None:
    """Both are said in one line."""
    done = rig.run("build", "--addr", f"tcp://127.0.0.1:{rig.daemon.port}", "-q", rig.context("FROM scratch\n"))
    assert done.status == 125, done.err
    assert done.last.endswith(
        ": it closed the connection without an answer; is that BuildKit's port, and does it want TLS?"
    )
    address = f"tcp://127.0.0.1:{rig.plain.port},cacert={rig.authority.ca}"
    done = rig.run("build", "--addr", address, "-q", rig.context("FROM scratch\n"))
    assert (done.status, done.last.rpartition(": ")[2]) == (125, "it does not speak TLS"), done.err


def test_a_build_over_ssh(rig: Rig, host: Sshd) -> None:
    """A context is uploaded and a folder exported through a real sshd."""
    address = f"ssh://root@build.example{rig.daemon.socket.removeprefix('unix://')}"
    context = rig.context("FROM scratch\nCOPY file /f\n")
    done = rig.run("build", "--addr", address, "-o", "out-ssh", context, PATH=_path(host))
    assert done.status == 0, done.err
    assert (rig.folder / "out-ssh" / "f").read_text() == Path(context, "file").read_text()


def test_an_interrupt_of_the_terminal_cancels_a_build_over_ssh(rig: Rig, host: Sshd) -> None:
    """The signal goes to the whole process group: ssh lives on until the step has ended."""
    mark = f"3{os.getpid()}"
    address = f"ssh://root@build.example{rig.daemon.socket.removeprefix('unix://')}"
    context = rig.context(f"FROM BASE\nRUN echo begun; sleep {mark}\n")
    with subprocess.Popen(
        [str(BIN / "buildclient"), "build", "--addr", address, "--progress", "plain", context],
        env={**rig.environment, "PATH": _path(host)}, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if re.search(r"^#\d+ [\d.]+ begun", line):
                break
        os.killpg(process.pid, signal.SIGINT)
        last = process.stderr.read().strip().splitlines()[-1]
        assert (process.wait(busy(20)), last) == (
            130,
            "ERROR: failed to build: failed to solve: Canceled: context canceled",
        )
    until = time.monotonic() + busy(10)
    while subprocess.run(["pgrep", "-f", f"^sleep {mark}$"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < until, "the step goes on"
        time.sleep(0.1)


def test_ssh_that_fails_is_one_line(rig: Rig, host: Sshd) -> None:
    """ssh's own words stand in it, and the shell's where buildctl is missing."""
    socket = rig.daemon.socket.removeprefix("unix://")
    context = rig.context("FROM scratch\nCOPY file /f\n")

    def said(address: str, path: str) -> str:
        done = rig.run("build", "--addr", address, "-q", context, PATH=path)
        assert done.status == 125, done.err
        assert len(done.err.strip().splitlines()) == 1, done.err
        return done.last

    address = f"ssh://build.example{socket}"
    line = said("ssh://build.example/nowhere.sock", _path(host))
    assert "ssh: exit status 1: " in line
    assert "dial unix /nowhere.sock: connect: no such file or directory" in line
    (host.remote / "buildctl").rename(host.remote / "away")
    try:
        line = said(address, _path(host))
        assert "ssh: the remote command buildctl failed: " in line
        assert "buildctl: " in line
        assert "not found" in line
    finally:
        (host.remote / "away").rename(host.remote / "buildctl")
    assert said(address, "/nowhere").endswith("there is no program ssh on PATH")
    known = host.known_hosts.read_text()
    host.known_hosts.write_text("")
    try:
        assert said(address, _path(host)).endswith("Host key verification failed.")
    finally:
        host.known_hosts.write_text(known)
    keys = host.authorized_keys.read_text()
    host.authorized_keys.write_text("")
    try:
        assert "Permission denied (publickey" in said(address, _path(host))
    finally:
        host.authorized_keys.write_text(keys)


def test_buildctl_builds_through_dial_stdio(rig: Rig, tmp_path: Path) -> None:
    """The real buildctl runs `ssh … buildctl dial-stdio`; here that is `buildclient dial-stdio`, over TLS."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec {BIN}/buildclient dial-stdio --addr {rig.tls}\n")
    ssh.chmod(0o755)
    context = Path(rig.context("FROM scratch\nCOPY file big /\n"))
    (context / "big").write_bytes(os.urandom(30 << 20))
    command = [str(ensure("buildctl")), "--addr", "ssh://x", "build", "--frontend", "dockerfile.v0"]
    command += ["--local", f"context={context}", "--local", f"dockerfile={context}"]
    command += ["--output", f"type=local,dest={tmp_path}/out"]
    environment = {**rig.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "big").read_bytes() == (context / "big").read_bytes()


@pytest.mark.parametrize("tls", [False, True])
def test_dial_stdio_ends_with_its_input(rig: Rig, tls: bool) -> None:
    """The daemon's greeting comes out, and nothing else; the status is 0."""
    done = subprocess.run(
        [str(BIN / "buildclient"), "dial-stdio", "--addr", rig.tls if tls else rig.daemon.socket],
        env=rig.environment, cwd=rig.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout[3:4] == b"\x04", done.stdout  # an HTTP/2 SETTINGS frame


def test_dial_stdio_that_reaches_nothing_ends_with_125(rig: Rig) -> None:
    """With the reason on standard error."""
    done = rig.run("dial-stdio", "--addr", "unix:///nowhere")
    assert (done.status, done.out) == (125, "")
    assert done.last == "ERROR: cannot reach BuildKit at unix:///nowhere: no such file or directory"
