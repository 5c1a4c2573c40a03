"""A daemon that is there and does not answer, on real pods: each ends a build within 30 s, with 125.

Measured on two cores, from the moment it stops: a daemon that is stopped in mid-step 22.5 and 25.9 s, one that is
stopped before the build 25.3 s, a tunnel that loses every byte 23.4 s. A step that says nothing is never cut.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.relay import relayed_kubeconfig
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
_SLEEP = "FROM BASE\nRUN echo begun; sleep SECONDS; echo ended\n"


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """A builder of two nodes, ready."""
    with hand_made(cluster, tmp_path_factory.mktemp("silent"), "silent") as one:
        yield one


def daemon_of(pod: str) -> int:
    """The process of a pod's buildkitd: nodes are namespaces of this machine, whose root sees all."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = f"HOSTNAME={pod}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if named and (folder / "comm").read_text() == "buildkitd\n":
                return int(folder.name)
    raise AssertionError(f"no buildkitd of {pod}")


@contextlib.contextmanager
def stopped(builder: HandMadeBuilder, architecture: str) -> Iterator[str]:
    """The daemon of a node's pod, stopped; gives the pod's name."""
    pod = builder.pods(architecture)[0].removeprefix("pod/")
    process = daemon_of(pod)
    os.kill(process, signal.SIGSTOP)
    try:
        yield pod
    finally:
        os.kill(process, signal.SIGCONT)


class Build:
    """`buildclient build` of one sleeping step; to be ended by `close`."""

    def __init__(self, builder: HandMadeBuilder, architecture: str, seconds: int, **environment: str) -> None:
        context = builder.context(f"sleep-{uuid.uuid4().hex[:8]}", _SLEEP.replace("SECONDS", str(seconds)))
        self._err = Path(context, "err")
        command = [str(BIN / "buildclient"), "build", "--no-cache", "--progress=plain", "--retries=0"]
        with self._err.open("w") as file:
            self._process = subprocess.Popen(
                [*command, "--platform", f"linux/{architecture}", context],
                env={**builder.environment, **environment},
                stderr=file,
            )

    def await_step(self) -> None:
        """Waits until the step sleeps."""
        until = time.monotonic() + busy(60)
        while " begun\n" not in self._err.read_text():
            assert time.monotonic() < until, self._err.read_text()
            time.sleep(0.1)

    def ended(self, seconds: float) -> tuple[int, str]:
        """Exit status and last line, within so many seconds of a quiet machine from now."""
        begun = time.monotonic()
        status = self._process.wait(busy(seconds))
        last = self._err.read_text().splitlines()[-1]
        print(f"ended with {status} after {time.monotonic() - begun:.1f} s: {last}")
        return status, last

    def close(self) -> None:
        """Leaves no process."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def builds() -> Iterator[contextlib.ExitStack]:
    """What ends every build of a test."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_daemon_that_is_stopped_in_mid_step_ends_the_build(
    builder: HandMadeBuilder, builds: contextlib.ExitStack
) -> None:
    """The line names the pod and says that the API server answers; once it runs again, so do builds."""
    build = Build(builder, "arm64", 300)
    builds.callback(build.close)
    build.await_step()
    with stopped(builder, "arm64") as pod:
        status, last = build.ended(30)
    assert status == 125
    assert f"pod {pod} " in last
    assert last.endswith("the daemon does not answer: nothing came from it for 25 s, while the API server answers")
    again = builder.run("build", "--platform=linux/arm64", builder.context("again", "FROM BASE\nRUN true\n"))
    assert again.status == 0, again.err


def test_a_daemon_that_is_stopped_before_the_build_ends_it(
    builder: HandMadeBuilder, builds: contextlib.ExitStack
) -> None:
    """Its pod is ready, its socket takes connections, and nothing comes."""
    with stopped(builder, "arm64") as pod:
        build = Build(builder, "arm64", 1)
        builds.callback(build.close)
        status, last = build.ended(30)
    assert status == 125
    assert f"pod {pod} " in last
    assert "the daemon does not answer" in last


def test_a_tunnel_that_loses_everything_ends_the_build(builder: HandMadeBuilder, builds: contextlib.ExitStack) -> None:
    """Half-open: both ends believe in it, and nothing comes through."""
    kubeconfig = builder.folder / "relay.yaml"
    relay = builds.enter_context(relayed_kubeconfig(builder.environment, kubeconfig))
    build = Build(builder, "amd64", 300, KUBECONFIG=str(kubeconfig))
    builds.callback(build.close)
    build.await_step()
    # Past the first ping, whose answer still comes.
    time.sleep(12)
    relay.lost.set()
    status, last = build.ended(30)
    assert status == 125
    assert f"{builder.pods('amd64')[0].removeprefix('pod/')} " in last
    assert last.endswith("for 25 s, nor did the API server answer pings: the connection is dead")


def test_a_step_that_says_nothing_is_not_cut(builder: HandMadeBuilder, builds: contextlib.ExitStack) -> None:
    """Twice as long as a daemon may be silent, since it is the step that is silent."""
    build = Build(builder, "amd64", 50)
    builds.callback(build.close)
    build.await_step()
    assert build.ended(80)[0] == 0
