"""An archive to a file: written beside its place, and renamed."""

from __future__ import annotations

import os
import threading

from buildclient.base.errors import BuildFailed, Cancelled
from buildclient.results.spool import Spool

__all__ = ["FileExport"]


class FileExport:
    """One node's archive; what the path leads to is as it was until `commit`. A link stays.

    The lock guards what `abort` takes up while another thread is at it; nothing slow is done under it.
    """

    def __init__(self, type_: str, path: str) -> None:
        self._type = type_
        self._path = os.path.realpath(path)
        self.folder = os.path.dirname(self._path)
        """Where the file will be; what is written here can be renamed into its place."""
        self._lock = threading.Lock()
        self._spool: Spool | None = None
        self._aborted = False

    def receiver(self, node: int) -> Spool:
        """The file beside."""
        with self._lock:
            self._go_on()
            self._spool = self._spool or Spool(self.folder, self._path)
            return self._spool

    def final(self) -> str:
        """Returns nothing: what was written has no name yet."""
        return ""

    def restart(self, node: int) -> None:
        """Removes the file beside; the next one is made when it is asked for."""
        with self._lock:
            spool, self._spool = self._spool, None
        if spool:
            spool.discard()

    def stage(self) -> None:
        """Raises BuildFailed for an archive that never came."""
        spool = self._spool
        if spool:
            if not spool.complete:
                raise BuildFailed(f"the daemon sent no result for output {self._type}")
            spool.seal()

    def commit(self) -> None:
        """Renames it."""
        with self._lock:
            self._go_on()
            if self._spool:
                self._spool.place(self._path)
                self._spool = None

    def abort(self) -> None:
        """Removes the file beside."""
        with self._lock:
            self._aborted = True
            spool, self._spool = self._spool, None
        if spool:
            spool.discard()

    def _go_on(self) -> None:
        if self._aborted:
            raise Cancelled("the export was aborted")
