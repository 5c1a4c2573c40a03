"""A file that an archive is written into before it has its name; fulfils ArchiveReceiver."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from buildclient.base import files

__all__ = ["Spool"]


class Spool:
    """A new file in a folder (which is made), with the mode that a plain `open` would give; removed by `discard`.

    `folder` None is the system's own for temporary files; `about` is the path that its faults are told with, if not
    the folder's. Raises OSError.
    """

    def __init__(self, folder: str | None, about: str = "") -> None:
        self._about = about or folder or tempfile.gettempdir()
        with files.about(self._about):
            if folder:
                os.makedirs(folder, exist_ok=True)
            handle, self.path = tempfile.mkstemp(prefix=".buildclient-", dir=folder)
        self.file = os.fdopen(handle, "w+b")
        self.complete = False
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(handle, 0o666 & ~mask)

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

    def discard(self) -> None:
        """Removes the file, unless it was renamed."""
        # What is still in its buffer may not fit on the disk.
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
