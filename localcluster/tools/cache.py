"""A folder of the cache is there whole or not at all, whoever makes it and whenever that one is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["locked", "made_once"]


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made by `make` in a folder beside it and renamed into place unless it is there already.

    Two callers at once: one makes, the other waits and takes. Folders beside that a killed run left are removed.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f".{folder.name}.lock"):
        if folder.is_dir():
            return folder
        for left in folder.parent.glob(f".{folder.name}.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
        try:
            make(beside)
            beside.chmod(0o755)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds a lock on a file; the kernel gives it up when the holder dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
