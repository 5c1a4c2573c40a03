"""Builds while the pods beneath them are replaced: ours, and docker buildx on its own Deployment.

`python -m bench.rolls` starts builds of a step each, one every few seconds, on two pods (four where they are scaled
down), and meanwhile rolls the pods, scales them down or drains their machine. It prints how many builds succeeded.
A step takes longer than the 30 seconds that Kubernetes gives a pod by default.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.ground import Ground, own_ground
from bench.measure import BenchError
from bench.report import table
from bench.subjects import PERSISTENT, Ours, Peer, Subject

__all__ = ["main"]

_STEP = 35
_EVERY = 3.0
"""Seconds between two builds' starts."""
_AFTER = 12.0
"""Seconds from the first start to the event."""
_LONGEST = 300
_GONE = ("persistent-volume-claim.when-deleted", "persistent-volume-claim.when-scaled")


class Outcome(NamedTuple):
    """What became of the builds."""

    builds: int
    succeeded: int
    errors: tuple[str, ...]
    """The last line of each that failed."""


def _drain(ground: Ground, subject: Subject) -> None:
    """Evicts every pod of the subject, as `kubectl drain` of their machines does; nobody else's are touched."""
    listed = subprocess.run(
        ["kubectl", "-n", ground.namespace, "get", "pods", "-l", f"app={subject.node}", "-o", "name"],
        env=ground.environment, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    deadline = time.monotonic() + 240
    for name in listed:
        pod = name.removeprefix("pod/")
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": ground.namespace},
        }
        path = f"/api/v1/namespaces/{ground.namespace}/pods/{pod}/eviction"
        # A budget refuses it until another pod is ready, as drain waits for.
        while time.monotonic() < deadline:
            done = subprocess.run(
                ["kubectl", "create", "--raw", path, "-f", "-"],
                env=ground.environment, input=json.dumps(body), text=True, capture_output=True, check=False, timeout=60,
            )  # fmt: skip
            if done.returncode == 0 or "not found" in done.stderr:
                break
            time.sleep(1)
        else:
            raise BenchError(f"{pod} is not evicted: {done.stderr}")


_EVENTS: tuple[tuple[str, int, Callable[[Ground, Subject], None]], ...] = (
    ("another setting, 2 pods", 2, lambda _, subject: subject.roll_setting()),
    ("another image, 2 pods", 2, lambda _, subject: subject.roll_image()),
    ("4 pods scaled to 1", 4, lambda _, subject: subject.scale(1)),
    ("both machines of 2 pods drained", 2, _drain),
)


def _survive(
    ground: Ground, subject: Subject, event: Callable[[Ground, Subject], None], builds: int, step: int
) -> Outcome:
    """Runs the builds and the event; waits for all of them."""
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    begun, happened = time.monotonic(), False
    for number in range(builds):
        name = f"{subject.node}-{secrets.token_hex(4)}"
        context, said = ground.folder / name, ground.folder / f"{name}.log"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {ground.base}\nRUN echo {name} && sleep {step}\n")
        command = [*subject.command(), "--progress", "plain", "--metadata-file", f"{context}.json", "-t"]
        tag = f"{ground.registry}/rolls/{name}:1"
        with said.open("wb") as file:
            process = subprocess.Popen(
                [*command, tag, "--output", "type=image,push=true,registry.insecure=true", str(context)],
                env=ground.environment, cwd=ground.folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        running.append((process, said))
        time.sleep(max(0.0, begun + (number + 1) * _EVERY - time.monotonic()))
        if not happened and time.monotonic() - begun >= min(_AFTER, builds * _EVERY / 2):
            happened = True
            event(ground, subject)
    deadline = time.monotonic() + _LONGEST
    errors = []
    for process, said in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            errors.append("it hangs")
            continue
        if process.returncode:
            lines = said.read_text(errors="replace").strip().splitlines()
            errors.append(
                next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
            )
    return Outcome(builds, builds - len(errors), tuple(errors))


def main(arguments: list[str] | None = None) -> int:
    """Prints a table; 1 if a build of ours failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.rolls", description=__doc__)
    parser.add_argument("--builds", type=int, default=20, help="builds of each row (default 20)")
    parser.add_argument("--step", type=int, default=_STEP, help=f"seconds of each build's step (default {_STEP})")
    asked = parser.parse_args(arguments)
    try:
        with own_ground("rolls") as ground:
            kept = {PERSISTENT: "1Gi", **dict.fromkeys(_GONE, "Delete")}
            subjects: list[Subject] = [
                Ours(ground, "ours", "ours, Deployment", {}),
                Ours(ground, "kept", "ours, StatefulSet", kept),
                Peer(ground, "peer", "docker buildx's Deployment", "loadbalance=random"),
            ]
            found = [_outcomes(ground, subject, asked.builds, asked.step) for subject in subjects]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    told = [[f"{one.succeeded} of {one.builds}" for one in outcomes] for outcomes in found]
    rows = ([title, *row] for (title, *_), row in zip(_EVENTS, zip(*told, strict=True), strict=True))
    print(table(["while", *(subject.title for subject in subjects)], rows))
    return int(any(one.errors for outcomes in found[:2] for one in outcomes))


def _outcomes(ground: Ground, subject: Subject, builds: int, step: int) -> list[Outcome]:
    subject.make()
    outcomes = []
    for title, replicas, event in _EVENTS:
        print(f"{subject.title}: {title} …", file=sys.stderr, flush=True)
        subject.scale(replicas)
        found = _survive(ground, subject, event, builds, step)
        lines = [f"  {found.succeeded} of {found.builds}", *(f"  {error}" for error in dict.fromkeys(found.errors))]
        print(*lines, sep="\n", file=sys.stderr, flush=True)
        outcomes.append(found)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
