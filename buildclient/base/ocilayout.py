"""The folder of an OCI layout: its `index.json`, read, and changed under the lock that docker buildx takes too.

The lock is flock(2) on `index.json.lock`, whose name goes with it. docker buildx writes the index in place, this client
beside it and renames it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from buildclient.base.files import replace_whole
from buildclient.base.ociindex import LAYOUT, MAX_INDEX, Name, index_text, put, read_index
from buildclient.base.oserrors import reason

__all__ = ["LOCK_TIMEOUT", "LayoutError", "open_layout", "put_in_index", "read_layout"]

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another program that is changing the index."""
_POLL = 0.02
_INDEX = "index.json"
_LOCK = f"{_INDEX}.lock"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class LayoutError(Exception):
    """A layout that cannot be read or changed; the message names the file, as docker buildx's does."""


def open_layout(path: str) -> int:
    """Opens the folder of a layout and returns its descriptor. Raises LayoutError."""
    try:
        return os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        # docker buildx finds it out by the lock.
        lock = os.path.join(path, _LOCK)
        raise LayoutError(f"could not lock {lock}: open {lock}: {reason(error)}") from None


def read_layout(folder: int, path: str, timeout: float = 1.0) -> dict[str, Any]:
    """Returns the index of an open layout; `path` is for messages. Raises LayoutError.

    It takes no lock, which would write into a folder that is only read: an index that docker buildx is writing is no
    JSON for a moment, so it is read again until `timeout` seconds have passed.
    """
    shown = os.path.join(path, _INDEX)
    deadline = time.monotonic() + timeout
    while True:
        try:
            data = _read(folder)
        except OSError as error:
            raise LayoutError(f"could not read {shown}: open {shown}: {reason(error)}") from None
        try:
            if not data:
                raise ValueError("unexpected end of JSON input")
            return read_index(data)
        except ValueError as error:
            if time.monotonic() > deadline or not _exists(folder, _LOCK):
                raise LayoutError(f"could not unmarshal {shown}: {error}") from None
        time.sleep(_POLL)


def put_in_index(
    folder: int,
    path: str,
    descriptors: Sequence[Mapping[str, Any]],
    names: Iterable[Name],
    timeout: float = LOCK_TIMEOUT,
) -> None:
    """Puts descriptors into the index of an open layout under each name, and makes both its files if missing.

    Raises LayoutError, also if another program holds the lock for longer than `timeout` seconds.
    """
    shown = os.path.join(path, _INDEX)
    with _locked(folder, os.path.join(path, _LOCK), timeout):
        try:
            data = _read(folder) if _exists(folder, _INDEX) else b""
            index = put(read_index(data), descriptors, names)
            replace_whole(folder, "oci-layout", LAYOUT, 0o644)
            replace_whole(folder, _INDEX, index_text(index), 0o644)
        except OSError as error:
            raise LayoutError(f"could not write {shown}: {reason(error)}") from None
        except ValueError as error:
            raise LayoutError(f"could not unmarshal {shown}: {error}") from None


def _read(folder: int) -> bytes:
    with open(os.open(_INDEX, _READ, dir_fd=folder), "rb") as file:
        # One byte more: the reader of the JSON says what is too long.
        return file.read(MAX_INDEX + 1)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _locked(folder: int, shown: str, timeout: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout
    while (handle := _try_lock(folder, shown)) is None:
        if time.monotonic() > deadline:
            raise LayoutError(f"could not lock {shown}: another program has held it for {timeout:.0f} s")
        time.sleep(_POLL)
    try:
        yield
    finally:
        # Before the lock is given up: whoever waits for it sees that the name has gone.
        with contextlib.suppress(OSError):
            os.unlink(_LOCK, dir_fd=folder)
        os.close(handle)


def _try_lock(folder: int, shown: str) -> int | None:
    """Returns the handle of the locked file; None if it is locked, or was removed meanwhile."""
    try:
        handle = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    except OSError as error:
        raise LayoutError(f"could not lock {shown}: open {shown}: {reason(error)}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == os.stat(_LOCK, dir_fd=folder, follow_symlinks=False).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise LayoutError(f"could not lock {shown}: {reason(error)}") from None
    os.close(handle)
    return None
