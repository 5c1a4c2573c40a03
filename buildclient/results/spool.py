"""A file that an archive is written into before it has its name; fulfils ArchiveReceiver."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from buildclient.base import files

__all__ = ["Spool"]


class Spool:
    """A new file in a folder (which is made), with the mode that a plain `open` would give; gone after `discard`.

    Where the file system can, it has no name before `place`: not even SIGKILL leaves it behind.

    `folder` None is the system's own for temporary files; `about` is the path that its faults are told with, if not
    the folder's. Raises OSError.
    """

    def __init__(self, folder: str | None, about: str = "") -> None:
        self._about = about or folder or tempfile.gettempdir()
        with files.about(self._about):
            if folder:
                os.makedirs(folder, exist_ok=True)
            handle, self._path = _create(folder or tempfile.gettempdir())
        self.file = os.fdopen(handle, "w+b")
        self.complete = False

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """The next bytes. Raises OSError, and ValueError once it is discarded."""
        with files.about(self._about):
            for piece in pieces:
                self.file.write(piece)

    def finish(self) -> None:
        """All of it came. Raises OSError."""
        with files.about(self._about):
            self.file.flush()
        self.complete = True

    def seal(self) -> None:
        """Nothing more is written. Raises OSError."""
        with files.about(self._about):
            if self._path:
                self.file.close()
            else:
                self.file.flush()

    def place(self, path: str) -> None:
        """Gives it its name, in the same folder, once it is sealed. Raises OSError."""
        with files.about(self._about):
            if self._path:
                os.replace(self._path, path)
                return
            folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                files.give_name(self.file.fileno(), folder, os.path.basename(path))
            finally:
                os.close(folder)
            self.file.close()

    def discard(self) -> None:
        """Removes the file, unless it was renamed."""
        # What is still in its buffer may not fit on the disk.
        with contextlib.suppress(OSError):
            self.file.close()
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)


def _create(folder: str) -> tuple[int, str]:
    """A handle, and a name where it cannot do without."""
    # Without /proc it could not be given a name.
    if os.path.exists("/proc/self/fd"):
        with contextlib.suppress(OSError, AttributeError):
            return files.nameless(folder), ""
    handle, path = tempfile.mkstemp(prefix=".buildclient-", dir=folder)
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(handle, 0o666 & ~mask)
    return handle, path
