"""Cgroups of the nodes, in every hierarchy that is mounted (version 1, version 2 or both)."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from localcluster.machine.files import write_text

__all__ = ["create", "enable", "hierarchies", "remove", "restore"]

_V2_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
_HANDED_DOWN = "cgroup.subtree_control"


def hierarchies() -> list[Path]:
    """Mount points of the cgroup hierarchies."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2") and mount.startswith("/sys/fs/cgroup"):
            found.append(Path(mount))
    return found


def enable(memory: Path) -> None:
    """Lets nodes use the controllers that a kubelet asks for; version 1 has nothing to switch on.

    Version 2 hands a controller down only where the parent says so. `memory` takes what was switched on here.
    """
    if memory.exists():
        return
    added = {}
    for root in hierarchies():
        if (root / _HANDED_DOWN).exists():
            available = (root / "cgroup.controllers").read_text().split()
            enabled = (root / _HANDED_DOWN).read_text().split()
            added[str(root)] = [name for name in _V2_CONTROLLERS if name in available and name not in enabled]
    write_text(memory, json.dumps(added))
    _switch(added, "+")


def restore(memory: Path) -> None:
    """Switches off what `enable` switched on, and forgets it."""
    with contextlib.suppress(OSError, ValueError):
        _switch(json.loads(memory.read_text()), "-")
    memory.unlink(missing_ok=True)


def create(name: str) -> None:
    """Makes a cgroup of that name in every hierarchy, able to hold processes."""
    for root in hierarchies():
        folder = root / name
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # Version 1 starts a cpuset empty, and nothing may run in an empty one.
            if (root / file).exists() and (folder / file).exists() and not (folder / file).read_text().strip():
                (folder / file).write_text((root / file).read_text())


def remove(name: str, timeout: float = 10) -> list[Path]:
    """Removes a cgroup and all below it, in every hierarchy; gives what is still there after `timeout` s.

    A cgroup stays busy for a moment after its last process was killed, hence the wait.
    """
    deadline = time.monotonic() + timeout
    while True:
        left = [folder for root in hierarchies() if (folder := root / name).is_dir() and not _remove(folder)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def _switch(controllers: dict[str, list[str]], sign: str) -> None:
    for root, names in controllers.items():
        for name in names:
            # One at a time: a controller that cannot be switched must not keep the others back.
            with contextlib.suppress(OSError):
                Path(root, _HANDED_DOWN).write_text(f"{sign}{name}")


def _remove(folder: Path) -> bool:
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not folder.exists()
