"""Opens folders below a root by file descriptors, so that no symlink, old or new, leads out of the root.

A path is resolved anew at each use, so anyone who may write into the folder (a build's own output, for one) could put
a symlink into it after a check. A descriptor stays what it was.
"""

from __future__ import annotations

import contextlib
import errno
import os

__all__ = ["DIRECTORY", "Folders", "PlannedFolder", "reopened"]

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags that open a folder and refuse a symlink."""
_MAX_HANDLES = 64
"""Descriptors kept open on the way down; a tree may be deeper than the limit of open files."""


def reopened(folder: int) -> int:
    """Returns a new descriptor of an open folder, with a position of its own. Raises OSError.

    A duplicate shares the position: two listings at the same time would each get a part, or an entry twice.
    """
    return os.open(".", DIRECTORY, dir_fd=folder)


class Folders:
    """A root folder's descriptor, and those down to the last folder looked up. Not thread-safe."""

    def __init__(self, root: int, name: bytes) -> None:
        """Owns the descriptor from here on; `name` is the folder's path, for messages only."""
        self.name = name
        self._open: list[tuple[bytes, int]] = [(b"", root)]

    @classmethod
    def of(cls, path: str | bytes) -> Folders:
        """Opens the folder of a path, following symlinks in the path itself. Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), os.path.realpath(os.fsencode(path)))

    @property
    def root(self) -> int:
        """The root folder's descriptor."""
        return self._open[0][1]

    def path(self, path: bytes) -> str:
        """Returns the full path of a relative one, for messages."""
        return os.fsdecode(os.path.join(self.name, path))

    def at(self, path: bytes) -> int:
        """Returns the descriptor of a folder, open until the next call; `path` is relative, empty for the root.

        Raises OSError: NotADirectoryError if a part is a symlink, a file or `..`.
        """
        way = self._open
        while way[-1][0] != path:
            here, handle = way[-1]
            # The root's path is empty, and it is above every other.
            if here and not path.startswith(here + b"/"):
                os.close(way.pop()[1])
                continue
            end = path.find(b"/", len(here) + bool(here))
            below = path if end < 0 else path[:end]
            name = below[len(here) + bool(here) :]
            if name in (b"", b".", b".."):
                raise NotADirectoryError(errno.ENOTDIR, "not a name of something in this folder", os.fsdecode(path))
            way.append((below, os.open(name, DIRECTORY, dir_fd=handle)))
            if len(way) > _MAX_HANDLES:
                os.close(way.pop(1)[1])
        return way[-1][1]

    def close(self) -> None:
        """Closes all descriptors; may be called twice."""
        while self._open:
            os.close(self._open.pop()[1])


class PlannedFolder:
    """A folder that need not exist yet; whatever is put in its way meanwhile, it is made where its path led first."""

    def __init__(self, path: str, mode: int = 0o755) -> None:
        """Opens the folder, or its nearest parent that exists; folders that `open` makes get `mode`. Raises OSError."""
        self.path = path
        self._mode = mode
        self._missing: list[str] = []
        self._made = 0
        self._base = -1
        # A part `..` can only follow a folder; the names are enough where that does not exist.
        here = path if os.path.isdir(path) else os.path.normpath(path)
        while self._base < 0:
            try:
                self._base = os.open(here or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not here or os.path.islink(here):
                    raise
                here, name = os.path.split(here.rstrip("/"))
                self._missing.insert(0, name)

    def open(self) -> int:
        """Makes the folder where it is missing, and returns a descriptor of its own. Raises OSError with the path."""
        folders = Folders(reopened(self._base), os.fsencode(self.path))
        try:
            for depth, name in enumerate(self._missing):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, self._mode, dir_fd=folders.at(self._below(depth)))
                    self._made += 1
            return reopened(folders.at(self._below(len(self._missing))))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None
        finally:
            folders.close()

    def remove(self) -> None:
        """Removes the folders that `open` made, as far as they are empty."""
        folders = Folders(reopened(self._base), os.fsencode(self.path))
        try:
            for depth in range(len(self._missing) - 1, len(self._missing) - 1 - self._made, -1):
                os.rmdir(self._missing[depth], dir_fd=folders.at(self._below(depth)))
                self._made -= 1
        except OSError:
            pass
        finally:
            folders.close()

    def close(self) -> None:
        """Closes the descriptor; may be called twice."""
        base, self._base = self._base, -1
        if base >= 0:
            os.close(base)

    def _below(self, depth: int) -> bytes:
        return os.fsencode("/".join(self._missing[:depth]))
