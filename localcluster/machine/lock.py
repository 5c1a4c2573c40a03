"""One `up` or `down` of an instance at a time, whichever clone asks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from localcluster.errors import ClusterError
from localcluster.instance import Instance

__all__ = ["lock_file", "locked"]


def lock_file(instance: Instance) -> Path:
    """The file whose lock is the instance's."""
    return instance.run.parent / f"{instance.name}.lock"


@contextlib.contextmanager
def locked(instance: Instance, say: Callable[[str], None], timeout: float = 1800) -> Iterator[None]:
    """Holds the instance's lock; waits for another holder, saying so, at most `timeout` s. Raises ClusterError.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
    """
    path = lock_file(instance)
    deadline = time.monotonic() + timeout
    waited = False
    while (file := _try(path)) is None:
        if time.monotonic() > deadline:
            raise ClusterError(f"another localcluster command holds {path} for {timeout:.0f} s")
        if not waited:
            say("waiting for another localcluster command to end")
            waited = True
        time.sleep(0.2)
    with file:
        yield


def _try(path: Path) -> IO[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # `down` removes the file: a lock on a file that is no longer there holds nobody off.
        if os.path.sameopenfile(file.fileno(), (again := path.open()).fileno()):
            again.close()
            return file
        again.close()
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None
