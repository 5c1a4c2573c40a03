"""One `up` or `down` of an instance at a time, whichever clone asks."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator

from localcluster.errors import ClusterError
from localcluster.instance import Instance

__all__ = ["locked"]


@contextlib.contextmanager
def locked(instance: Instance, say: Callable[[str], None], timeout: float = 1800) -> Iterator[None]:
    """Holds the instance's lock; waits for another holder, saying so, at most `timeout` s. Raises ClusterError.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
    """
    path = instance.run.parent / f"{instance.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("w") as file:
        waited = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterError(f"another localcluster command holds {path} for {timeout:.0f} s") from None
                if not waited:
                    say("waiting for another localcluster command to end")
                    waited = True
                time.sleep(0.2)
        yield
