"""Cgroups of the nodes, in every hierarchy that is mounted (version 1, version 2 or both)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["create", "hierarchies", "remove"]

_V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io")


def hierarchies() -> list[Path]:
    """Mount points of the cgroup hierarchies."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2") and mount.startswith("/sys/fs/cgroup"):
            found.append(Path(mount))
    return found


def create(name: str) -> None:
    """Makes a cgroup of that name in every hierarchy, with what a kubelet needs set in it."""
    for root in hierarchies():
        if (root / "cgroup.subtree_control").exists():
            available = (root / "cgroup.controllers").read_text().split()
            wanted = " ".join(f"+{name}" for name in _V2_CONTROLLERS if name in available)
            if wanted:
                with contextlib.suppress(OSError):
                    (root / "cgroup.subtree_control").write_text(wanted)
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


def _remove(folder: Path) -> bool:
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not folder.exists()
