"""How long a command takes, and pairs of commands that take turns.

Absolute times vary from machine to machine and from minute to minute; what is kept is the ratio of two that ran
alternately, the order changing from round to round.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

__all__ = ["CLIENTS", "BenchError", "Pair", "Ran", "in_turns", "timed", "timed_at_once"]

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
    """Most resident memory of the process itself, in bytes; of several at once, the sum."""
    processor: float = 0.0
    """Seconds of processor time of the process and of those that it waited for."""
    carried: int = 0
    """Bytes that crossed the link in both directions; 0 where there was none."""


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

    def processor(self, client: str) -> float:
        """The median of the processor time."""
        return statistics.median(ran.processor for ran in self.of(client))

    def carried(self, client: str) -> float:
        """The median of the bytes that crossed the link."""
        return statistics.median(ran.carried for ran in self.of(client))

    def spread(self, client: str) -> tuple[float, float]:
        """The shortest and the longest time."""
        seconds = [ran.seconds for ran in self.of(client)]
        return min(seconds), max(seconds)

    @property
    def ratio(self) -> float:
        """Our median by theirs: under 1 is faster."""
        return self.seconds("ours") / self.seconds("buildx")


def timed(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Runs a command in a folder to its end. Raises BenchError if it fails."""
    return timed_at_once([command], environment, folder)


def timed_at_once(commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path) -> Ran:
    """Starts commands in a folder at once, until the last has ended. Raises BenchError if one fails."""
    with contextlib.ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in commands]
        begun = time.perf_counter()
        processes = [
            subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            for command, file in zip(commands, said, strict=True)
        ]
        memory, processor = 0, 0.0
        for process in processes:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            memory += used.ru_maxrss * 1024
            processor += used.ru_utime + used.ru_stime
        took = time.perf_counter() - begun
        for process, command, file in zip(processes, commands, said, strict=True):
            if process.returncode:
                raise BenchError(f"{' '.join(command)}: status {process.returncode}\n{_last_words(file)}")
    return Ran(took, memory, processor)


def _last_words(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
    return file.read().decode(errors="replace").strip()


def in_turns(rounds: int, run: Callable[[str], Ran]) -> Pair:
    """Runs both clients in every round, the first of one round being the second of the next."""
    runs: dict[str, list[Ran]] = {client: [] for client in CLIENTS}
    for number in range(rounds):
        for client in CLIENTS if number % 2 else reversed(CLIENTS):
            runs[client].append(run(client))
    return Pair(tuple(runs["ours"]), tuple(runs["buildx"]))
