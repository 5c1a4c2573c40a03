"""Interrupted at any moment, the command ends at once with 130, whatever it was waiting for, and leaves nothing."""

from __future__ import annotations

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


def builder(address: str) -> str:
    """A builder output with one node there."""
    node = {"name": "one", "platforms": ["linux/amd64"], "address": address}
    return json.dumps({"version": 1, "name": "kube", "namespace": "", "nodes": [node]})


COMMAND = [sys.executable, "-c", "from buildclient.cli.main import run; run()"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that nobody closes before the test ends."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """The address of a daemon that lets everybody in and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d"))
        listener.listen()
        yield f"unix://{tmp_path}/d"


def start(folder: Path, stdin: int, address: str, *arguments: str) -> subprocess.Popen[str]:
    """The command, with temporary files in a folder of their own."""
    (folder / "tmp").mkdir()
    (folder / "context").mkdir()
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env={
            **os.environ,
            "TMPDIR": str(folder / "tmp"),
            "BUILDCLIENT_BUILDER": builder(address),
            "HOME": str(folder),
        },
        cwd=folder,
        stdin=stdin,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("build", "-"), b""),
        (("build", "-"), b"\x1f\x8b\x08" + b"x" * 2000),
        (("build", "-f", "-", "context"), b"FROM x\n"),
        (("build", "--builder-file", "-", "context"), b"{"),
        (("inspect", "--builder-file", "-"), b""),
    ],
    ids=["context", "half an archive", "Dockerfile", "builder", "inspect"],
)
def test_a_command_that_waits_for_its_input_can_be_interrupted(
    tmp_path: Path, daemon: str, pipe: tuple[int, int], arguments: tuple[str, ...], sent: bytes, number: signal.Signals
) -> None:
    """Who writes to it may never end; what was laid down of it is removed."""
    os.write(pipe[1], sent)
    process = start(tmp_path, pipe[0], daemon, *arguments)
    # It has loaded once it has a thread that reads; that one reads what there is, and waits.
    while process.poll() is None and len(os.listdir(f"/proc/{process.pid}/task")) < 2:
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    begun = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=busy(10))
    assert process.returncode == 130, said
    assert time.monotonic() - begun < busy(3)
    assert said.splitlines()[-1].startswith("ERROR: ")
    assert "Traceback" not in said
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize(("variable", "seconds"), [("BUILDCLIENT_BUILDER", 2), ("KUBECONFIG", 5), ("DOCKER_CONFIG", 5)])
def test_a_command_that_waits_for_a_named_pipe_can_be_interrupted(
    tmp_path: Path, daemon: str, variable: str, seconds: float
) -> None:
    """Such as `<(pulumi stack output …)` that hangs: nobody opens the pipe for writing."""
    pipe = tmp_path / "config.json"
    os.mkfifo(pipe)
    node = {"name": "n", "workload": {"kind": "Deployment", "name": "w"}, "selector": {"app": "w"}}
    kube = json.dumps({"version": 1, "name": "kube", "namespace": "n", "nodes": [node]})
    process = subprocess.Popen(
        [*COMMAND, "build", "."],
        env={
            **os.environ,
            "BUILDCLIENT_BUILDER": kube if variable == "KUBECONFIG" else builder(daemon),
            "HOME": str(tmp_path),
            variable: str(tmp_path if variable == "DOCKER_CONFIG" else pipe),
        },
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    await_rest(process)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=busy(10))
    assert process.returncode == 130, said
    assert time.monotonic() - begun < busy(seconds)
    assert said.splitlines()[-1].startswith("ERROR: failed to build: ")


def await_rest(process: subprocess.Popen[str]) -> None:
    """Waits until a process has had nothing to do for a second: it says nothing before it looks for its builder."""
    looks = 0
    while looks < 20:
        assert process.poll() is None
        states = set()
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
        looks = looks + 1 if states == {"S"} else 0
        time.sleep(0.05)


WAITS = """
import asyncio, os, sys, time
from buildclient.cli.running import run
from buildclient.base.errors import Cancelled
async def work():
    print("begun", flush=True)
    await asyncio.to_thread(time.sleep, 60)
try:
    run(work(), Cancelled("stopped"))
except Cancelled as error:
    print(error, flush=True)
    os._exit(error.exit_status)
"""


def test_a_thread_that_cannot_be_ended_is_not_waited_for() -> None:
    """A credential helper that asks its user, a registry that hangs."""
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=busy(10))[0] == "stopped\n"
    assert process.returncode == 130
    assert time.monotonic() - begun < busy(3)


def test_a_builder_that_is_not_there_is_said_though_the_context_still_comes(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    """A context on standard input may come slowly, or never."""
    process = start(tmp_path, pipe[0], "unix:///nowhere/socket", "build", "-")
    _, said = process.communicate(timeout=busy(10))
    assert process.returncode == 125
    assert "/nowhere/socket" in said.splitlines()[-1]
    assert os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed_is_none_of_its_business(tmp_path: Path, closed: int) -> None:
    """Started by a daemon that gave it no standard input, or none of the outputs."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {closed}<&-', "sh", *COMMAND, "build", str(tmp_path)],
        env={**os.environ, "BUILDCLIENT_BUILDER": builder("unix:///nowhere/socket")},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert closed == 2 or "/nowhere/socket" in done.stderr
