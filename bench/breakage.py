"""What is broken under two builds that run side by side: their pods, their daemons, their way to the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.attempts import Running, daemon_of, pod_of, processes
from bench.ground import ROOT, Ground
from bench.measure import BenchError
from bench.relay import Direction, Relay
from localcluster.instance import current_instance
from localcluster.parts.run import stop

__all__ = ["FAULTS", "NODE", "OF_ALL", "PODS", "STEPS", "Scene", "await_pods", "pods_of_steps", "steps_of"]

NODE = "builder-amd64"
PODS = 3
_MACHINE = "amd64"
"""The local cluster's machine on which they run."""
STEPS = 4
"""Of each build, a second each."""
_CLOSED = 3.0
"""Seconds for which the API server stays away."""
_AWAY = 4.0
"""Seconds for which the node has no pods."""
_STOPPED = 20.0
"""Seconds for which the machine's kubelet and containerd do nothing."""
_OFF = 5.0
"""Seconds after which what was switched off is switched on again."""


class Scene(NamedTuple):
    """The two builds, and the means to break them."""

    ground: Ground
    chance: random.Random
    steps: Mapping[str, str]
    """How long each client's steps sleep, as text: by it their processes are found."""
    relays: Mapping[str, Relay]
    traffic: Mapping[str, Mapping[Direction, int]]
    """Bytes of each client's build without a fault."""
    runs: Mapping[str, Running] = {}
    """The builds."""

    def kubectl(self, *words: str) -> None:
        """Runs it in the namespace."""
        self.ground.run("kubectl", "-n", self.ground.namespace, *words)

    def hit(self) -> list[str]:
        """Waits until both builds run steps, or have ended, and then for a random while; returns their pods."""
        until = time.monotonic() + 60
        found: dict[str, str] = {}
        while any(run.runs() and client not in found for client, run in self.runs.items()):
            if time.monotonic() > until:
                raise BenchError("no step runs")
            found.update(pods_of_steps({client: step for client, step in self.steps.items() if client not in found}))
            time.sleep(0.05)
        if not found:
            raise BenchError("both builds ended before a step")
        # The last tenth lies behind the steps, where the image is made and pushed.
        time.sleep(self.chance.uniform(0, STEPS * 1.1))
        return sorted(set(found.values()))


def steps_of(step: str) -> list[int]:
    """The processes of a client's steps."""
    return [number for number, _ in processes(lambda words: words[-2:] == [b"sleep", step.encode()])]


def pods_of_steps(steps: Mapping[str, str]) -> dict[str, str]:
    """The pods in which clients' steps run; of those that run."""
    found = {client: next(filter(None, map(pod_of, steps_of(step))), "") for client, step in steps.items()}
    return {client: pod for client, pod in found.items() if pod}


def await_pods(ground: Ground, count: int = PODS) -> None:
    """Waits until as many pods are there, all of them ready. Raises BenchError."""
    until = time.monotonic() + 120
    command = ["kubectl", "-n", ground.namespace, "get", "pods", "-l", f"app={NODE}", "-o", "json"]
    while time.monotonic() < until:
        items = json.loads(subprocess.run(command, env=ground.environment, capture_output=True, timeout=60).stdout)
        ready = [
            all(state["ready"] for state in item["status"].get("containerStatuses", [{"ready": False}]))
            and "deletionTimestamp" not in item["metadata"]
            for item in items["items"]
        ]
        if len(ready) == count and all(ready):
            return
        time.sleep(0.5)
    raise BenchError(f"not {count} ready pods")


def _delete(scene: Scene, pods: Sequence[str]) -> None:
    scene.kubectl("delete", "pods", *pods, "--force", "--grace-period=0", "--wait=false")


@contextlib.contextmanager
def _deleted(scene: Scene) -> Iterator[str]:
    _delete(scene, scene.hit())
    yield ""


@contextlib.contextmanager
def _killed(scene: Scene) -> Iterator[str]:
    for pod in scene.hit():
        os.kill(daemon_of(pod), signal.SIGKILL)
    yield ""


@contextlib.contextmanager
def _frozen(scene: Scene) -> Iterator[str]:
    daemons = [daemon_of(pod) for pod in scene.hit()]
    for daemon in daemons:
        os.kill(daemon, signal.SIGSTOP)
    try:
        yield ""
    finally:
        for daemon in daemons:
            os.kill(daemon, signal.SIGCONT)


@contextlib.contextmanager
def _out_of_memory(scene: Scene) -> Iterator[str]:
    for pod in scene.hit():
        # The kernel chooses whom it kills for a container's limit; so it is the daemon rather than the glutton.
        with open(f"/proc/{daemon_of(pod)}/oom_score_adj", "w") as file:
            file.write("1000")
        glutton = "echo 0 >/proc/self/oom_score_adj; exec tail /dev/zero"
        command = ["kubectl", "-n", scene.ground.namespace, "exec", pod, "--", "sh", "-c", glutton]
        subprocess.Popen(
            command, env=scene.ground.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    yield ""


@contextlib.contextmanager
def _two(scene: Scene) -> Iterator[str]:
    hit = scene.hit()
    names = subprocess.run(
        ["kubectl", "-n", scene.ground.namespace, "get", "pods", "-l", f"app={NODE}", "-o", "name"],
        env=scene.ground.environment, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    others = [name.removeprefix("pod/") for name in names if name.removeprefix("pod/") not in hit]
    # Two of the three at least: each build has one left at most.
    _delete(scene, hit if len(hit) > 1 else [*hit, scene.chance.choice(others)])
    yield ""


@contextlib.contextmanager
def _all(scene: Scene) -> Iterator[str]:
    scene.hit()
    scene.kubectl("scale", f"deployment/{NODE}", "--replicas=0")
    scene.kubectl("delete", "pods", "-l", f"app={NODE}", "--force", "--grace-period=0", "--wait=false")
    time.sleep(_AWAY)
    scene.kubectl("scale", f"deployment/{NODE}", f"--replicas={PODS}")
    yield ""


def _cut(direction: Direction) -> Callable[[Scene], contextlib.AbstractContextManager[str]]:
    @contextlib.contextmanager
    def cut(scene: Scene) -> Iterator[str]:
        for client, relay in scene.relays.items():
            relay.cut(direction, scene.chance.randrange(scene.traffic[client][direction]))
        try:
            yield ""
        finally:
            whole = [client for client, relay in scene.relays.items() if not relay.spare(direction)]
            if whole:
                print(f"not cut, as fewer bytes passed: {', '.join(whole)}", file=sys.stderr)

    return cut


@contextlib.contextmanager
def _api_server(scene: Scene) -> Iterator[str]:
    time.sleep(scene.chance.uniform(0.3, STEPS + 2))
    broken = {client: relay.reset_all(_CLOSED) for client, relay in scene.relays.items()}
    print(f"connections reset: {broken}", file=sys.stderr)
    yield ""


def _daemons_of_machine() -> list[int]:
    """The processes of kubelet and containerd on the machine of the node's pods. Raises BenchError."""
    configured = f"/nodes/{_MACHINE}/etc/".encode()
    found = [
        number
        for number, words in processes(lambda words: any(configured in word for word in words))
        if os.path.basename(words[0]) in (b"kubelet", b"containerd")
    ]
    if len(found) != 2:
        raise BenchError(f"machine {_MACHINE}: kubelet and containerd are not found")
    return found


@contextlib.contextmanager
def _machine_stopped(scene: Scene) -> Iterator[str]:
    scene.hit()
    numbers = _daemons_of_machine()
    for number in numbers:
        os.kill(number, signal.SIGSTOP)
    try:
        time.sleep(_STOPPED)
    finally:
        for number in numbers:
            os.kill(number, signal.SIGCONT)
    yield ""


def _switched_off(part: str) -> None:
    """Kills a part of the local cluster with all its processes, and starts it again after a moment."""
    stop(current_instance(), [part])
    time.sleep(_OFF)
    done = subprocess.run(
        [sys.executable, "-m", "localcluster", "up"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise BenchError(f"the local cluster does not start again: {done.stderr[-500:]}")


@contextlib.contextmanager
def _machine_off(scene: Scene) -> Iterator[str]:
    scene.hit()
    _switched_off(f"node-{_MACHINE}")
    yield ""


@contextlib.contextmanager
def _api_server_restarted(scene: Scene) -> Iterator[str]:
    time.sleep(scene.chance.uniform(0.3, STEPS + 2))
    _switched_off("apiserver")
    yield ""


@contextlib.contextmanager
def _interrupted(scene: Scene) -> Iterator[str]:
    _delete(scene, scene.hit())
    yield "interrupt"


FAULTS: Mapping[str, Callable[[Scene], contextlib.AbstractContextManager[str]]] = {
    "pod deleted by force": _deleted,
    "buildkitd killed": _killed,
    "buildkitd frozen": _frozen,
    "container out of memory": _out_of_memory,
    "tunnel cut at a byte to the pod": _cut("up"),
    "tunnel cut at a byte from the pod": _cut("down"),
    "every connection to the API server reset, none for 3 s": _api_server,
    "two of three pods deleted": _two,
    "all pods deleted, back after 4 s": _all,
    "kubelet and containerd stopped for 20 s": _machine_stopped,
    "machine switched off, on again after 5 s": _machine_off,
    "API server killed, started again after 5 s": _api_server_restarted,
    "Ctrl-C while it is taken up again": _interrupted,
}
"""What breaks, with the function that breaks it while both builds run, and at the end mends what does not by itself.

It gives `interrupt` where the client is to be interrupted in its retry."""
OF_ALL = (
    "kubelet and containerd stopped for 20 s",
    "machine switched off, on again after 5 s",
    "API server killed, started again after 5 s",
)
"""Those that break the builds of others too."""
