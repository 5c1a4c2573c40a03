"""One write of a blob that the daemon sends: checked, and named once it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import NamedTuple, Protocol

from buildclient.base.digests import Digest
from buildclient.base.files import about
from buildclient.session.call import Code, Status

__all__ = ["MAX_UNANNOUNCED", "Ingest", "State"]

MAX_UNANNOUNCED = 64 << 20
"""Bytes of a blob whose size the daemon did not announce; it announces all but small ones."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class State(NamedTuple):
    """How far a write is."""

    ref: str
    offset: int
    total: int
    expected: str
    started: float
    """Seconds since the epoch."""


class _Owner(Protocol):
    """The store that a write is for (`buildclient.session.writable`)."""

    path: str

    def settle(self, ingest: Ingest, digest: Digest | None, temporary: str) -> None:
        """Ends a write: its file gets the digest's name, or is removed without one. Raises OSError."""


class Ingest:
    """One write, into a file that has no digest's name before its content has the digest."""

    def __init__(self, store: _Owner, staging: int, state: State) -> None:
        self._store = store
        self._expected = state.expected
        self._hasher = Digest(state.expected.partition(":")[0] or "sha256", "").hasher()
        self._name = f"tmp-{secrets.token_hex(8)}"
        self._handle = os.open(self._name, _CREATE, 0o444, dir_fd=staging)
        self.state = state

    @property
    def digest(self) -> str:
        """The digest of what is written so far."""
        return f"{self._hasher.name}:{self._hasher.hexdigest()}"

    def write(self, data: bytes) -> None:
        """Writes the next bytes. Raises OSError, and Status for more than was announced."""
        end = self.state.offset + len(data)
        if end > (self.state.total or MAX_UNANNOUNCED):
            limit = f"announced {self.state.total}" if self.state.total else f"limit of {MAX_UNANNOUNCED}"
            raise Status(Code.OUT_OF_RANGE, f"write of {end} bytes to ref {self.state.ref}, past the {limit}")
        with about(self._store.path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
        self._hasher.update(data)
        self.state = self.state._replace(offset=end)

    def restart(self) -> None:
        """Drops what was written. Raises OSError."""
        with about(self._store.path):
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
        self._hasher = Digest(self._hasher.name, "").hasher()
        self.state = self.state._replace(offset=0)

    def finish(self, total: int, expected: Digest | None) -> Digest:
        """Ends the write: the blob gets its name. Raises Status where size or digest are not as expected; OSError."""
        size = self.state.offset
        actual = Digest(self._hasher.name, self._hasher.hexdigest())
        wanted = str(expected or self._expected or actual)
        problem = ""
        if total and total != size:
            problem = f"unexpected commit size {size}, expected {total}"
        elif wanted != str(actual):
            problem = f"unexpected commit digest {actual}, expected {wanted}"
        if problem:
            self.discard()
            raise Status(Code.FAILED_PRECONDITION, f"{problem}: failed precondition")
        handle, self._handle = self._handle, -1
        with about(self._store.path):
            os.close(handle)
            self._store.settle(self, actual, self._name)
        return actual

    def discard(self) -> None:
        """Removes the file, unless it has its name; may be called twice."""
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(OSError):
            self._store.settle(self, None, self._name)
