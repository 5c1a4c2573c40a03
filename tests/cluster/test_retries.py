"""Builds on real pods that lose their BuildKit in mid-step: taken up again, to the image that they make without it.

`make faults` does it many times, at random moments and beside docker buildx.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.relay import Relay, relayed_kubeconfig
from tests.cluster.client_builder import BIN, HandMadeBuilder, hand_made
from tests.cluster.held import held, release, running
from tests.cluster.test_silent_daemon import daemon_of
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_MARK = f"retries-{uuid.uuid4().hex[:8]}"
_DOCKERFILE = f"FROM BASE\nRUN sleep 0.1; echo one >/one\nRUN echo begun; {held(_MARK)}; echo two >/two\n"


class Ground:
    """A node of two pods, which the client reaches through a relay."""

    def __init__(self, builder: HandMadeBuilder, relay: Relay) -> None:
        self.builder, self.relay = builder, relay
        self.whole = ""
        """The digest of the image."""

    def build(self, fault: Callable[[str], None] | None = None, *more: str) -> tuple[str, str]:
        """Builds and pushes; `fault` gets the pod once the second step runs, which ends in the next try.

        Returns the digest, and what was said.
        """
        builder = self.builder
        name = uuid.uuid4().hex
        context, metadata = builder.context("context", _DOCKERFILE), builder.folder / f"{name}.json"
        command = [str(BIN / "buildclient"), "build", "--progress=plain", "--no-cache", "--platform=linux/amd64"]
        command += ["--provenance=false", "--build-arg=SOURCE_DATE_EPOCH=1", f"--metadata-file={metadata}", *more]
        command += [f"--output=type=image,name={builder.registry}/{name}:1,push=true,rewrite-timestamp=true", context]
        err: list[str] = []
        with subprocess.Popen(command, env=builder.environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            for line in process.stderr:
                err.append(line)
                if not line.endswith(" begun\n"):
                    continue
                if fault:
                    fault(self.pod())
                    fault = None
                else:
                    release(_MARK)
        said = "".join(err)
        assert process.returncode == 0, said
        assert fault is None, said
        return json.loads(metadata.read_text())["containerimage.digest"], said

    def pod(self) -> str:
        """The pod in which the step waits."""
        return _pod_above(running(_MARK)[0])


def _pod_above(process: int) -> str:
    """The pod whose BuildKit a process descends from."""
    while process > 1:
        if Path(f"/proc/{process}/comm").read_text() == "buildkitd\n":
            environ = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            return next(one for one in environ if one.startswith(b"HOSTNAME=")).partition(b"=")[2].decode()
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    raise AssertionError("a step of no BuildKit")


@pytest.fixture(scope="module")
def ground(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Ready, with the digest of the image as it is made without a fault."""
    with hand_made(cluster, tmp_path_factory.mktemp("retries"), "retries", amd64=2, arm64=0) as builder:
        kubeconfig = builder.folder / "relay.yaml"
        with relayed_kubeconfig(builder.environment, kubeconfig) as relay:
            builder.environment["KUBECONFIG"] = str(kubeconfig)
            made = Ground(builder, relay)
            made.whole = made.build()[0]
            yield made


def _killed(_: Ground, pod: str) -> None:
    os.kill(daemon_of(pod), signal.SIGKILL)


def _deleted(ground: Ground, pod: str) -> None:
    ground.builder.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false")


def _cut(ground: Ground, _: str) -> None:
    ground.relay.reset_all()


def _frozen(_: Ground, pod: str) -> None:
    os.kill(daemon_of(pod), signal.SIGSTOP)


@pytest.mark.parametrize(
    "fault",
    [_killed, _deleted, *(pytest.param(one, marks=pytest.mark.faults) for one in (_cut, _frozen))],
    ids=lambda one: one.__name__.removeprefix("_"),
)
def test_a_build_that_loses_its_daemon_makes_its_image_all_the_same(
    ground: Ground, fault: Callable[[Ground, str], None]
) -> None:
    """Once more, on the pod that is said, and which knows the steps that it had already built, if it is the same."""
    hit: list[str] = []

    def broken(pod: str) -> None:
        hit.append(pod)
        fault(ground, pod)

    try:
        digest, said = ground.build(broken)
    finally:
        if fault is _frozen:
            os.kill(daemon_of(hit[0]), signal.SIGCONT)
    assert digest == ground.whole
    assert said.count("try 2 of 3") >= 1
    (where,) = set(re.findall(r"going on in (?:the same pod|pod) (\S+)", said))
    if fault in (_deleted, _frozen):
        assert where != hit[0]
    assert "try 3 of 3" not in said


def test_a_pod_whose_container_has_just_died_is_waited_for(ground: Ground) -> None:
    """Its only pod: listed ready for a second or two, though `container not found` is all that an exec gets."""
    ground.builder.kubectl("scale", "deployment/builder-amd64", "--replicas=1")
    until = time.monotonic() + busy(30)
    while len(ground.builder.pods()) != 1:
        assert time.monotonic() < until
        time.sleep(0.2)
    (pod,) = (name.removeprefix("pod/") for name in ground.builder.pods())
    relay = ground.relay

    def kill_first() -> None:
        assert relay.came.wait(busy(30))
        os.kill(daemon_of(pod), signal.SIGKILL)
        relay.goes.set()

    relay.came.clear()
    relay.goes.clear()
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        # At the client's first word to the cluster: it may take longer to start than a container does.
        killed = pool.submit(kill_first)
        digest, said = ground.build(None, "--retries=0")
    killed.result()
    assert digest == ground.whole
    assert time.monotonic() - begun < busy(20)
    assert "starting builder builder-amd64" in said
