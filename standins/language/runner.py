"""The child process that runs a program: started early, given its orders when the engine asks for the run."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from standins.language.environment import activated

__all__ = ["Orders", "Runner", "outcome"]

_EXECUTE = Path(__file__).with_name("execute.py")
_SHOWN = 32

_LAST_LINES_SECONDS = 1.0
"""How long to read on after the program's end: what it left running may hold its output open for ever."""


@dataclass(frozen=True)
class Orders:
    """What the child needs to run the program; read by execute.py."""

    root: str
    folder: str
    entry: str
    arguments: list[str]
    project: str
    stack: str
    organization: str
    config: Mapping[str, str]
    secrets: list[str]
    """The keys of `config` whose values are secret."""
    parallel: int
    preview: bool
    monitor: str
    engine: str


def outcome(status: int) -> tuple[str, bool]:
    """The error text (empty: none) and whether to stop without another word, for an exit status of the child."""
    if status == 0:
        return "", False
    if status == _SHOWN:
        return "", True
    if status < 0:
        return f"Program ended by signal {-status}", False
    return f"Program exited with non-zero exit code: {status}", False


class Runner:
    """One child process. Starting it costs nothing that the run would not cost; most of it is importing the SDK."""

    def __init__(self, python: Path) -> None:
        self.python = python
        read, self._write = os.pipe()
        self._process = subprocess.Popen(
            [str(python), "-u", str(_EXECUTE), str(read)],
            env=activated(python),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[read],
        )
        os.close(read)
        self._lines = [threading.Thread(target=_forward, args=pair, daemon=True) for pair in self._streams()]
        for thread in self._lines:
            thread.start()

    def _streams(self) -> list[tuple[object, int]]:
        return [(self._process.stdout, 1), (self._process.stderr, 2)]

    def run(self, orders: Orders) -> int:
        """Gives the orders, waits for the end, returns the exit status (negative: the signal that ended it)."""
        # A child that could not even import the SDK is gone already, and has said why.
        with suppress(BrokenPipeError), os.fdopen(self._write, "w") as pipe:
            json.dump(asdict(orders), pipe)
        status = self._process.wait()
        for thread in self._lines:
            thread.join(_LAST_LINES_SECONDS)
        return status

    def stop(self) -> None:
        """Ends the child, wherever it is."""
        if self._process.poll() is None:
            self._process.kill()
            # Not left to others to bury: who started us may never do it.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)


def _forward(stream: object, descriptor: int) -> None:
    """Passes on whole lines, so that two streams never meet within one."""
    for line in stream:  # type: ignore[attr-defined]
        os.write(descriptor, line)
