"""One archive of several nodes' archives, wherever it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from buildclient.base.errors import BuildFailed, Cancelled
from buildclient.results.interfaces import ArchiveExport, ArchiveReceiver
from buildclient.results.spool import Spool

__all__ = ["MergedExport"]

Merge = Callable[[Sequence[BinaryIO], BinaryIO], Mapping[str, Any] | None]
"""Writes parts as one archive; returns the descriptor of the image in it, if it is an image's."""


class MergedExport:
    """Keeps each node's archive in a file, and merges them into another export once all have come."""

    def __init__(self, type_: str, into: ArchiveExport, merge: Merge, folder: str | None) -> None:
        """`merge` writes the parts as one archive; the parts lie in `folder` (None: the system's own) meanwhile."""
        self._type = type_
        self._into = into
        self._merge = merge
        self._folder = folder
        self._parts: dict[int, Spool] = {}
        self._lock = threading.Lock()
        self._aborted = False
        self.image: Mapping[str, Any] | None = None
        """The descriptor of the merged image, once staged; None for a tar."""
        self._merged_or_aborted = threading.Event()

    def receiver(self, node: int) -> Spool:
        """A node's part."""
        with self._lock:
            if self._aborted:
                raise Cancelled("the export was aborted")
            if node not in self._parts:
                self._parts[node] = Spool(self._folder)
            return self._parts[node]

    def final(self) -> str:
        """Returns nothing: the parts are merged once all have come."""
        return ""

    def restart(self, node: int) -> None:
        """Removes a node's part."""
        with self._lock:
            part = self._parts.pop(node, None)
        if part:
            part.discard()

    def stage(self) -> None:
        """Merges, in a thread that is not waited for once aborted: a pipe that nobody reads would hold it."""
        with self._lock:
            parts = [self._parts[node] for node in sorted(self._parts)]
        if not all(part.complete for part in parts):
            raise BuildFailed(f"the daemon sent no result for output {self._type}")
        failures: list[BaseException] = []

        def run() -> None:
            try:
                self._write([part.file for part in parts])
            except BaseException as error:
                failures.append(error)
            self._merged_or_aborted.set()

        threading.Thread(target=run, daemon=True).start()
        self._merged_or_aborted.wait()
        if self._aborted:
            raise Cancelled("the export was aborted")
        if failures:
            raise failures[0]
        self._discard()
        self._into.stage()

    def commit(self) -> None:
        """Puts the merged archive in its place."""
        self._into.commit()

    def abort(self) -> None:
        """Removes the parts, and what is merged of them."""
        with self._lock:
            self._aborted = True
        self._into.abort()
        self._discard()
        self._merged_or_aborted.set()

    def _write(self, parts: Sequence[BinaryIO]) -> None:
        for part in parts:
            part.seek(0)
        receiver = self._into.receiver(0)
        self.image = self._merge(parts, cast(BinaryIO, _ReceiverFile(receiver)))
        receiver.finish()

    def _discard(self) -> None:
        with self._lock:
            parts, self._parts = self._parts, {}
        for part in parts.values():
            part.discard()


class _ReceiverFile:
    """A receiver as a file, as far as an archive is written into it."""

    def __init__(self, receiver: ArchiveReceiver) -> None:
        self._receiver = receiver
        self._at = 0

    def tell(self) -> int:
        return self._at

    def write(self, data: bytes | memoryview) -> int:
        self._receiver.write([data])
        self._at += len(data)
        return len(data)
