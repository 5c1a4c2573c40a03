"""How long the client's own decisions take at a size that no test cluster has: nothing is asked of any cluster."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable

from buildclient.contract.platform import Platform, parse_platform
from buildclient.kube.pod import Pod
from buildclient.nodes.choice import ranked
from buildclient.nodes.plan import Candidate, plan

__all__ = ["GOAL", "planned", "seconds", "sums_seconds"]

GOAL = 0.02
"""Seconds."""
_PLATFORMS = tuple(
    map(
        parse_platform,
        ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x",
         "linux/riscv64"),
    )
)  # fmt: skip


def planned(targets: int, pods: int) -> list[list[Pod]]:
    """Plans each target's platforms over a node for each, and chooses the first pods by each target's key."""
    candidates = [Candidate(str(platform), (platform,)) for platform in _PLATFORMS]
    there = [Pod(f"builder-{number}", "", ready=True, terminating=False) for number in range(pods)]
    node_pods = [there[number :: len(candidates)] for number in range(len(candidates))]
    chosen = []
    for target in range(targets):
        wanted: tuple[Platform, ...] = _PLATFORMS
        for share in plan(candidates, wanted):
            # Targets of one project share its routing key; here each is a project of its own.
            chosen.append(ranked(node_pods[share.node], "sticky", f"project-{target}")[:4])
    return chosen


def seconds(targets: int = 64, pods: int = 1000, rounds: int = 7) -> float:
    """The median of the processor time of `planned`, which waits for nothing."""
    return _median(lambda: planned(targets, pods), rounds)


def sums_seconds(targets: int = 64, pods: int = 1000, rounds: int = 7) -> float:
    """The part of it that is a SHA-256 sum for each key and pod: less would need another order of the pods."""
    names = [f"builder-{number}".encode() for number in range(pods)]

    def sums() -> None:
        for target in range(targets):
            start = hashlib.sha256(f"project-{target}\0".encode())
            for name in names:
                one = start.copy()
                one.update(name)
                one.digest()

    return _median(sums, rounds)


def _median(call: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)
