"""What a builder's cache survives: ours on persistent volumes, docker buildx's driver without and with them.

`python -m bench.survival` prints a table: after each event, how many of a build's steps are cached and whether its
cache mount (`RUN --mount=type=cache`) is still full.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.ground import Ground, own_ground
from bench.measure import BenchError
from bench.report import table
from bench.subjects import PERSISTENT, Ours, Peer, Subject

__all__ = ["main"]

_STEPS = 4
_TRIES = 20
"""Builds in a row until one finds a pod: docker buildx does not wait for one that is starting."""


class Left(NamedTuple):
    """What a build found of the one before."""

    cached: int
    """Of `_STEPS` steps."""
    full: bool
    """Whether the cache mount held what the last build wrote."""
    seconds: float
    """Of the build that succeeded."""
    refused: int
    """Builds before it that failed, for want of a pod."""


def _build(ground: Ground, subject: Subject, context: Path) -> subprocess.CompletedProcess[str]:
    command = [*subject.command(), "--progress", "plain", "--build-arg", f"PROBE={time.time_ns()}", str(context)]
    return subprocess.run(command, env=ground.environment, capture_output=True, text=True, timeout=300, check=False)


def _left(ground: Ground, subject: Subject, context: Path) -> Left:
    for refused in range(_TRIES):
        begun = time.perf_counter()
        done = _build(ground, subject, context)
        if done.returncode == 0:
            cached = len(re.findall(r"^#\d+ CACHED$", done.stderr, re.MULTILINE))
            full = bool(re.search(r"^#\d+ [\d.]+ full$", done.stderr, re.MULTILINE))
            return Left(cached, full, time.perf_counter() - begun, refused)
        time.sleep(3)
    raise BenchError(f"{subject.title}: no build succeeds:\n{done.stderr[-1500:]}")


def _events(ground: Ground) -> Sequence[tuple[str, Callable[[Subject], None]]]:
    def delete(_: Subject) -> None:
        ground.run("kubectl", "-n", ground.namespace, "delete", "pods", "--all", "--timeout=120s")

    def scale(subject: Subject) -> None:
        subject.scale(3)
        subject.scale(1)

    def remake(subject: Subject) -> None:
        subject.remove()
        subject.make()

    return (
        ("nothing", lambda subject: None),
        ("every pod is deleted", delete),
        ("a setting is changed, the pods are rolled", lambda subject: subject.roll_setting()),
        ("1 → 3 → 1 replicas", scale),
        ("the builder is removed and made again", remake),
    )


def _survived(ground: Ground, subject: Subject, context: Path) -> list[Left]:
    subject.make()
    _left(ground, subject, context)
    found = []
    for title, event in _events(ground):
        print(f"{subject.title}: {title} …", file=sys.stderr, flush=True)
        event(subject)
        found.append(_left(ground, subject, context))
    subject.remove()
    return found


def _cell(left: Left) -> str:
    mount = "full" if left.full else "empty"
    refused = f", {left.refused} refused before" if left.refused else ""
    return f"{left.cached} of {_STEPS} cached, mount {mount}, {left.seconds:.1f} s{refused}"


def main() -> int:
    """Prints the table; 1 if something that should work failed."""
    try:
        with own_ground("survival") as ground:
            context = ground.folder / "context"
            context.mkdir()
            steps = "".join(f"RUN sleep 2; echo {secrets.token_hex(4)} >{number}\n" for number in range(_STEPS))
            probe = "ARG PROBE\nRUN --mount=type=cache,target=/kept sh -c 'ls /kept; touch /kept/full'\n"
            (context / "Dockerfile").write_text(f"FROM {ground.base}\n{steps}{probe}")
            subjects: list[Subject] = [
                Ours(ground, "ours", "ours, persistent volumes", {PERSISTENT: "1Gi"}),
                Peer(ground, "peer-kept", "docker buildx, persistent volumes", f"{PERSISTENT}=1Gi", "statefulset"),
                Peer(ground, "peer", "docker buildx, as it comes"),
            ]
            found = [_survived(ground, subject, context) for subject in subjects]
            events = [title for title, _ in _events(ground)]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows = ([title, *map(_cell, row)] for title, row in zip(events, zip(*found, strict=True), strict=True))
    print(table(["after", *(subject.title for subject in subjects)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
