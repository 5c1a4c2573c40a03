"""A content store that the daemon may write: blobs wait in `ingest/` until the build publishes them.

A written blob lies in a folder of this build's own below `ingest/`, under its digest once that holds. `publish` moves
all of them to `blobs/`; until then, and after a failure, the layout is as it was. Several nodes write into one store,
each blob once. A folder that a killed build left is removed by the next one: its owner holds flock(2) on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable

from buildclient.base.digests import Digest
from buildclient.base.files import about
from buildclient.base.folders import DIRECTORY, PlannedFolder
from buildclient.session.blobs import Blob, Blobs, opened_blob
from buildclient.session.call import Code, Status
from buildclient.session.ingest import Ingest, State

__all__ = ["MAX_WRITES", "NodeStore", "WritableStore"]

MAX_WRITES = 64
"""Writes into one store at a time; the daemon's own limit is lower."""
_MINE = "buildclient-"
_STALE = 60.0
"""Seconds after which a folder without an owner counts as left over: one that is just being made has none yet."""


class WritableStore:
    """The store of one folder, which is made at the first write; `of_node` gives what implements Store."""

    def __init__(self, path: str, opened: Callable[[int], None] | None = None) -> None:
        """`opened` is called once, with the folder's descriptor, before the first write. Raises OSError."""
        self.path = path
        self._opened = opened
        self._planned = PlannedFolder(path)
        self._lock = threading.RLock()
        self._folder = self._staging = -1
        self._name = f"{_MINE}{secrets.token_hex(8)}"
        self._blobs: Blobs | None = None
        self._staged: dict[Digest, int] = {}
        self._active: dict[str, Ingest] = {}
        self._ended = self._made_ingest = False

    @property
    def folder(self) -> int:
        """The folder's descriptor; it is made if missing. Raises OSError."""
        with self._lock:
            self._go_on()
            if self._folder < 0:
                folder = self._planned.open()
                try:
                    if self._opened:
                        self._opened(folder)
                except BaseException:
                    # Asked again the next time: nothing is written before it has been.
                    os.close(folder)
                    raise
                self._folder, self._blobs = folder, Blobs(folder)
            return self._folder

    def of_node(self) -> NodeStore:
        """Returns the store as one node sees it."""
        return NodeStore(self)

    def open(self, digest: Digest) -> Blob | None:
        """Opens a blob of the layout, or one that waits. Raises OSError."""
        with self._lock:
            if digest in self._staged and self._staging >= 0:
                return opened_blob(self._staging, _name_of(digest))
        if self._blobs is None and not os.path.isdir(self.path):
            return None
        with about(self.path):
            folder = self.folder
        assert folder >= 0
        assert self._blobs is not None
        return self._blobs.open(digest)

    def begin(self, ref: str, total: int, expected: Digest | None) -> Ingest:
        """Starts a write; see Store."""
        with self._lock, about(self.path):
            if ref in self._active or len(self._active) >= MAX_WRITES:
                raise Status(Code.UNAVAILABLE, f"ref {ref} locked: unavailable")
            self._stage_folder()
            if expected is not None and self._has(expected, total):
                raise Status(Code.ALREADY_EXISTS, f"content {expected}: already exists")
            space = os.statvfs(self._staging)
            if total > space.f_bavail * space.f_frsize:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            self._active[ref] = ingest = Ingest(
                self, self._staging, State(ref, 0, total, str(expected or ""), time.time())
            )
            return ingest

    def states(self) -> list[State]:
        """Returns the writes that are going on."""
        with self._lock:
            return [ingest.state for ingest in self._active.values()]

    def add(self, data: bytes) -> Digest:
        """Writes a small blob of the client's own. Raises OSError."""
        digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        with self._lock, about(self.path):
            self._stage_folder()
            if not self._has(digest, len(data)):
                ingest = self.begin(f"client-{digest}", len(data), digest)
                ingest.write(data)
                ingest.finish(len(data), digest)
        return digest

    def drop(self, digest: Digest) -> None:
        """Removes a blob that waits, and is not wanted after all. Raises OSError."""
        with self._lock, about(self.path):
            if self._staged.pop(digest, None) is not None:
                os.unlink(_name_of(digest), dir_fd=self._staging)

    def publish(self) -> None:
        """Moves what waits to `blobs/`. Raises OSError with the path."""
        with self._lock, about(self.path):
            for digest in list(self._staged):
                with contextlib.ExitStack() as stack:
                    target = _made(self.folder, "blobs", digest.algorithm, stack=stack)
                    # Content that is there under the name stays, unless its size is wrong: a crash may have cut it.
                    if _size(target, digest.encoded) == self._staged[digest]:
                        os.unlink(_name_of(digest), dir_fd=self._staging)
                    else:
                        os.rename(_name_of(digest), digest.encoded, src_dir_fd=self._staging, dst_dir_fd=target)
                del self._staged[digest]
            self._remove_staging()

    def close(self, *, published: bool) -> None:
        """Ends every write and removes what waits; without `published` also the folders that were made, if empty."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            # Their handles stay their writers', one of which may be writing at this moment.
            self._active.clear()
            self._remove_staging()
            if self._folder >= 0:
                if not published:
                    # Another build may rely on a folder that was there.
                    if self._made_ingest:
                        with contextlib.suppress(OSError):
                            os.rmdir("ingest", dir_fd=self._folder)
                    self._planned.remove()
                if self._blobs:
                    self._blobs.close()
                os.close(self._folder)
            self._planned.close()

    def settle(self, ingest: Ingest, digest: Digest | None, temporary: str) -> None:
        """Ends a write: its file gets the digest's name, or is removed without one. Raises OSError."""
        with self._lock:
            if self._active.get(ingest.state.ref) is ingest:
                del self._active[ingest.state.ref]
            if self._staging < 0:
                return
            if digest is None or digest in self._staged:
                os.unlink(temporary, dir_fd=self._staging)
            else:
                os.rename(temporary, _name_of(digest), src_dir_fd=self._staging, dst_dir_fd=self._staging)
                self._staged[digest] = ingest.state.offset

    def _has(self, digest: Digest, total: int) -> bool:
        if digest in self._staged:
            return True
        blob = self.open(digest)
        if blob is None:
            return False
        os.close(blob.handle)
        return total in (0, blob.size)

    def _stage_folder(self) -> None:
        if self._staging >= 0:
            self._go_on()
            return
        with contextlib.ExitStack() as stack:
            self._made_ingest = _size(self.folder, "ingest") < 0
            ingest = _made(self.folder, "ingest", stack=stack)
            _remove_stale(ingest)
            os.mkdir(self._name, 0o700, dir_fd=ingest)
            self._staging = os.open(self._name, DIRECTORY, dir_fd=ingest)
            fcntl.flock(self._staging, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _remove_staging(self) -> None:
        staging, self._staging = self._staging, -1
        self._staged.clear()
        if staging < 0:
            return
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            _empty(staging)
            os.rmdir(self._name, dir_fd=_made(self._folder, "ingest", stack=stack))
        os.close(staging)

    def _go_on(self) -> None:
        if self._ended:
            raise Status(Code.CANCELLED, "the client ended the build")


class NodeStore:
    """A writable store as one node sees it; implements Store, and knows what the node named."""

    def __init__(self, store: WritableStore) -> None:
        self._store = store
        self.named: set[Digest] = set()
        """Blobs that the node wrote, or would have written if they had not been there."""
        self.last: Digest | None = None
        """The last of them: a manifest is written after all that it names."""

    def open(self, digest: Digest) -> Blob | None:
        """Opens a blob."""
        return self._store.open(digest)

    def begin(self, ref: str, total: int, expected: Digest | None) -> Ingest:
        """Starts a write."""
        try:
            return self._store.begin(ref, total, expected)
        except Status as status:
            if status.code == Code.ALREADY_EXISTS and expected is not None:
                self.note(expected)
            raise

    def states(self) -> list[State]:
        """Returns the writes that are going on."""
        return self._store.states()

    def note(self, digest: Digest) -> None:
        """Notes a blob as named by the node."""
        self.named.add(digest)
        self.last = digest


def _name_of(digest: Digest) -> str:
    return f"{digest.algorithm}-{digest.encoded}"


def _made(folder: int, *names: str, stack: contextlib.ExitStack) -> int:
    """Opens a folder below another, and makes what is missing; the stack closes it."""
    for name in names:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=folder)
        folder = os.open(name, DIRECTORY, dir_fd=folder)
        stack.callback(os.close, folder)
    return folder


def _size(folder: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except FileNotFoundError:
        return -1


def _empty(folder: int) -> None:
    for name in os.listdir(folder):
        os.unlink(name, dir_fd=folder)


def _remove_stale(ingest: int) -> None:
    """Removes the folders of builds that were killed."""
    with contextlib.suppress(OSError):
        for name in os.listdir(ingest):
            if not name.startswith(_MINE):
                continue
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                folder = os.open(name, DIRECTORY, dir_fd=ingest)
                stack.callback(os.close, folder)
                if time.time() - os.fstat(folder).st_mtime > _STALE:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _empty(folder)
                    os.rmdir(name, dir_fd=ingest)
