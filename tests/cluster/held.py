"""Steps of builds that go on until a test lets them end, however long what it does meanwhile takes.

Daemons are processes of this machine, whose root reaches the files of their steps.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.load import busy

__all__ = ["held", "release", "running"]


def held(mark: str) -> str:
    """The commands of a step which goes on until `release`; in its shared memory, so that no layer knows of it."""
    return f"until [ -e /dev/shm/{mark} ]; do sleep 0.1; done"


def running(mark: str) -> list[int]:
    """A process of each step that waits for a mark."""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"/dev/shm/{mark} ]".encode() in (folder / "cmdline").read_bytes():
                found[os.readlink(folder / "ns/mnt")] = int(folder.name)
    return list(found.values())


def release(mark: str, steps: int = 1) -> None:
    """Lets the steps go on that wait for a mark, as soon as there are so many."""
    until = time.monotonic() + busy(30)
    while len(processes := running(mark)) < steps:
        assert time.monotonic() < until, f"{len(processes)} steps wait for {mark}"
        time.sleep(0.05)
    for process in processes:
        with contextlib.suppress(OSError):
            Path(f"/proc/{process}/root/dev/shm/{mark}").touch()
