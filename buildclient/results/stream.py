"""An archive to standard output, or into a device or a named pipe: written as it comes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import BinaryIO

from buildclient.base.errors import BuildFailed, Cancelled
from buildclient.base.files import about
from buildclient.results.turn import Turn

__all__ = ["StreamExport"]


class StreamExport:
    """What was written cannot be taken back; an export that is aborted writes no more. Fulfils ArchiveReceiver."""

    def __init__(self, type_: str, path: str = "") -> None:
        """No path is standard output."""
        self._type = type_
        self._path = path
        self._file: BinaryIO | None = None
        self._asked = self._complete = self._aborted = self._begun = False
        self.turn = 0
        """The number of the solve whose archive is taken."""

    def receiver(self, node: int) -> Turn:
        """The stream itself, for one solve."""
        self._asked = True
        return Turn(self)

    def final(self) -> str:
        """Returns why it is too late, once a byte is written."""
        where = self._path or "standard output"
        return f"part of output {self._type} has been written to {where}" if self._begun else ""

    def restart(self, node: int) -> None:
        """Takes nothing more of the solve that has ended."""
        self.turn += 1

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """The next bytes. Raises OSError, and Cancelled after `abort`."""
        # Not opened before: to open a pipe is to wait for its reader.
        with about(self._path or "/dev/stdout"):
            if self._file is None:
                self._file = open(self._path, "wb") if self._path else sys.stdout.buffer  # noqa: SIM115
            for piece in pieces:
                self._begun = True
                if self._aborted:
                    self._close()
                    raise Cancelled("the export was aborted")
                self._file.write(piece)

    def finish(self) -> None:
        """All of it came. Raises OSError."""
        with about(self._path or "/dev/stdout"):
            if self._file is not None:
                self._file.flush()
            self._close()
        self._complete = True

    def stage(self) -> None:
        """Raises BuildFailed for an archive that never came."""
        if self._asked and not self._complete:
            raise BuildFailed(f"the daemon sent no result for output {self._type}")

    def commit(self) -> None:
        """Nothing: all of it is there."""

    def abort(self) -> None:
        """Ends what is still written."""
        self._aborted = True

    def _close(self) -> None:
        if self._file is not None and self._path:
            self._file.close()
