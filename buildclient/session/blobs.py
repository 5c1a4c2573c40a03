"""The blobs of an OCI layout's folder, by digest, as a session's content service reads them.

A blob is opened by descriptors below the folder, and no symlink is followed: what the daemon asks for comes from this
folder alone. Some tools build layouts of symlinks; such a blob is served once its whole content has the asked digest,
so that the daemon gets no byte that the digest does not stand for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat as st
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildclient.base.digests import Digest
from buildclient.base.folders import DIRECTORY
from buildclient.session.call import Code, Status

if TYPE_CHECKING:
    from buildclient.session.ingest import Ingest, State

__all__ = ["Blob", "Blobs", "Store"]

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class Blob(NamedTuple):
    """An open blob; whoever got it closes the handle."""

    handle: int
    size: int
    """Bytes, when it was opened."""
    mtime_ns: int


class Store(Protocol):
    """A store of the content service. All methods are called in threads, and several at once."""

    def open(self, digest: Digest) -> Blob | None:
        """Opens a blob; None if there is none. Raises OSError."""

    def begin(self, ref: str, total: int, expected: Digest | None) -> Ingest:
        """Starts a write of `total` bytes (0: not known) under a name that one write has at a time.

        Raises Status: ALREADY_EXISTS, UNAVAILABLE while another write has the name, or whatever refuses it; OSError.
        """

    def states(self) -> list[State]:
        """Returns the writes that are going on."""


class Blobs:
    """A store that is only read; implements Store."""

    def __init__(self, folder: int) -> None:
        """Reads below an open folder, whose descriptor stays the caller's and must outlive the store."""
        self._folder = folder
        self._lock = threading.Lock()
        self._verified: dict[Digest, int] = {}

    def open(self, digest: Digest) -> Blob | None:
        """Opens a blob; None if there is none, or a link in its place leads to other content."""
        try:
            with _opened(self._folder, "blobs", digest.algorithm) as folder:
                return opened_blob(folder, digest.encoded)
        except FileNotFoundError:
            return None
        except OSError as error:
            # A symlink: as the blob (ELOOP), or as a folder on the way (ENOTDIR).
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        return self._linked(digest)

    def begin(self, ref: str, total: int, expected: Digest | None) -> Ingest:
        """Refuses every write."""
        raise Status(Code.FAILED_PRECONDITION, "this store is only read")

    def states(self) -> list[State]:
        """Returns nothing: nothing is written."""
        return []

    def close(self) -> None:
        """Closes what was kept open."""
        with self._lock:
            handles, self._verified = list(self._verified.values()), {}
        for handle in handles:
            os.close(handle)

    def _linked(self, digest: Digest) -> Blob | None:
        with self._lock:
            if digest not in self._verified:
                handle = _verified(self._folder, digest)
                if handle is None:
                    return None
                self._verified[digest] = handle
            return _blob(os.dup(self._verified[digest]))


def opened_blob(folder: int, name: str) -> Blob | None:
    """Opens a regular file in a folder; None if it is anything else. Raises OSError, for a symlink with ELOOP."""
    return _blob(os.open(name, _READ | os.O_NOFOLLOW, dir_fd=folder))


def _blob(handle: int) -> Blob | None:
    info = os.fstat(handle)
    if not st.S_ISREG(info.st_mode):
        os.close(handle)
        return None
    return Blob(handle, info.st_size, info.st_mtime_ns)


def _verified(folder: int, digest: Digest) -> int | None:
    """Returns a handle of what a blob's path leads to, if that is a regular file with the digest."""
    try:
        handle = os.open(f"blobs/{digest.algorithm}/{digest.encoded}", _READ, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    hasher, at = digest.hasher(), 0
    try:
        while st.S_ISREG(os.fstat(handle).st_mode) and (piece := os.pread(handle, _CHUNK, at)):
            hasher.update(piece)
            at += len(piece)
    except OSError:
        os.close(handle)
        raise
    if hasher.hexdigest() == digest.encoded:
        return handle
    os.close(handle)
    return None


@contextlib.contextmanager
def _opened(folder: int, *names: str) -> Iterator[int]:
    """Opens a folder below another, and follows no symlink."""
    with contextlib.ExitStack() as stack:
        for name in names:
            folder = os.open(name, DIRECTORY, dir_fd=folder)
            stack.callback(os.close, folder)
        yield folder
