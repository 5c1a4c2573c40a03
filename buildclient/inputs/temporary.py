"""A folder for what a build reads from standard input, such as a Dockerfile; what a killed command left is removed.

A command holds a lock on its folder for as long as it runs (flock(2)); a folder that nobody holds is nobody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

__all__ = ["temporary_folder"]

_PREFIX = "buildclient-inputs-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    """An empty folder of mode 0700, removed afterwards. Raises OSError."""
    _tidy(tempfile.gettempdir())
    path, handle = _held()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _held() -> tuple[str, int]:
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        # Another command may have taken it for one that was left, until it is held.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, _FOLDER)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.exists(path):
                return path, handle
            os.close(handle)


def _tidy(folder: str) -> None:
    """Removes what nobody holds. What cannot be removed stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                _remove(entry.path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, _FOLDER)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)
