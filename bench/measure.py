"""How long a command takes, and pairs of commands that take turns.

Absolute times vary from machine to machine and from minute to minute; what is kept is the ratio of two that ran
alternately, the order changing from round to round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["CLIENTS", "BenchError", "Pair", "Ran", "in_turns", "timed"]

CLIENTS = ("ours", "buildx")
_TAIL = 1500
"""Bytes of standard error that a failure shows."""


class BenchError(Exception):
    """A command that should succeed did not; the message shows its last words."""


class Ran(NamedTuple):
    """One run of a command."""

    seconds: float
    """From start to end of the process."""
    memory: int
    """Most resident memory of the process itself, in bytes."""


class Pair(NamedTuple):
    """All runs of one case."""

    ours: tuple[Ran, ...]
    buildx: tuple[Ran, ...]

    def of(self, client: str) -> tuple[Ran, ...]:
        """A client's runs."""
        return self.ours if client == "ours" else self.buildx

    def seconds(self, client: str) -> float:
        """The median time."""
        return statistics.median(ran.seconds for ran in self.of(client))

    def best(self, client: str) -> float:
        """The shortest time: what is left when nothing else wanted the machine."""
        return min(ran.seconds for ran in self.of(client))

    def memory(self, client: str) -> int:
        """The most memory of any run, in bytes."""
        return max(ran.memory for ran in self.of(client))

    @property
    def ratio(self) -> float:
        """Our median by theirs: under 1 is faster."""
        return self.seconds("ours") / self.seconds("buildx")


def timed(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Runs a command in a folder to its end. Raises BenchError if it fails."""
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL))
            words = said.read().decode(errors="replace").strip()
            raise BenchError(f"{' '.join(command)}: status {process.returncode}\n{words}")
    return Ran(took, used.ru_maxrss * 1024)


def in_turns(rounds: int, run: Callable[[str], Ran]) -> Pair:
    """Runs both clients in every round, the first of one round being the second of the next."""
    runs: dict[str, list[Ran]] = {client: [] for client in CLIENTS}
    for number in range(rounds):
        for client in CLIENTS if number % 2 else reversed(CLIENTS):
            runs[client].append(run(client))
    return Pair(tuple(runs["ours"]), tuple(runs["buildx"]))
