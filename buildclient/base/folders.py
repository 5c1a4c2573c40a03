"""Goes down below one folder by handles, so that no link leads out of it: neither one that was there nor a new one.

A path name is looked up anew at each use, and whoever may write into the folder (a build's own output, for one) may
have put a link into its middle since it was checked. A handle stays what it was.
"""

from __future__ import annotations

import errno
import os

__all__ = ["DIRECTORY", "Folders"]

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags that open a folder that is not a link."""
_MAX_HANDLES = 64
"""Handles kept open on the way down; trees may be deeper than a process may have handles."""


class Folders:
    """A folder's handle, and those on the way to the folder that was looked up last. Not for several threads."""

    def __init__(self, root: int, name: bytes) -> None:
        """Takes the handle over; `name` is the folder's path, for messages alone."""
        self.name = name
        self._open: list[tuple[bytes, int]] = [(b"", root)]

    @classmethod
    def of(cls, path: str | bytes) -> Folders:
        """Of a path, whose own links are followed. Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), os.path.realpath(os.fsencode(path)))

    @property
    def root(self) -> int:
        """The folder's own handle."""
        return self._open[0][1]

    def path(self, path: bytes) -> str:
        """The full path of one below, for messages."""
        return os.fsdecode(os.path.join(self.name, path))

    def at(self, path: bytes) -> int:
        """The handle of a folder below, open until the next call; `path` is relative and clean, empty for the root.

        Raises OSError: NotADirectoryError where a part is a link or a file, or `..`.
        """
        way = self._open
        while way[-1][0] != path:
            here, handle = way[-1]
            # The root's path is empty, and above all.
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
        """Lets go of all handles; may be called twice."""
        while self._open:
            os.close(self._open.pop()[1])
