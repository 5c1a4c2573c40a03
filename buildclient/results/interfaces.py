"""Protocols of a build's results: receivers, exports, and the commit steps that follow the solves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from buildclient.request.values import NodeResult
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.blobs import Store
    from buildclient.session.diffcopy import Stat

__all__ = ["ArchiveExport", "ArchiveReceiver", "CommitStep", "Export", "TreeReceiver", "TreeWriter"]


class CommitStep(Protocol):
    """A part of the result that is written once every node has answered: exports, tags, a cache's index.

    All steps are staged in order, then committed in order. At the end of the build each is aborted, in reverse order;
    after a commit that does nothing. A step that merges the images of several nodes may have an attribute `image`, the
    merged image's descriptor once staged (None if it merged none).
    """

    def services(self, node: int) -> Sequence[Service]:
        """Returns the session services of a node (0, 1, …) for this step; called once per solve."""

    def stores(self, node: int) -> Mapping[str, Store]:
        """Returns the content stores of a node for this step, by their ids; called once per solve."""

    def final(self) -> str:
        """Returns why what nodes sent cannot be taken once more; empty if it can."""

    def restart(self, node: int) -> None:
        """Forgets what a node (0, 1, …) sent: its solve has ended, and is begun anew."""

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Does everything that can fail and be undone, such as writing a temporary file. Raises ClientError."""

    async def commit(self) -> None:
        """Publishes what was staged and does little else: the steps before this one are committed already.

        Raises ClientError.
        """

    def abort(self) -> None:
        """Removes what is not committed; may be called during `stage` or `commit`, which then end soon."""


class ArchiveReceiver(Protocol):
    """Receives one stream of bytes (oci, docker, tar); called in a thread."""

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Writes the next bytes. Raises OSError."""

    def finish(self) -> None:
        """Ends the stream: everything has arrived."""


class TreeReceiver(Protocol):
    """Receives a tree of files (local); called in a thread."""

    @property
    def whole(self) -> bool:
        """Whether each stream must hold all platforms of its node (`mode=delete`)."""

    def open(self) -> TreeWriter:
        """Returns a writer for one stream; several platforms may arrive at once."""


class TreeWriter(Protocol):
    """Writes one stream's entries."""

    def entry(self, stat: Stat) -> bool:
        """Makes an entry; returns whether it needs content. Raises OSError, DiffCopyError for a forbidden path."""

    def data(self, file: int, data: bytes) -> None:
        """Writes content of the entry at that position; empty data ends it. Raises OSError."""

    def finish(self) -> None:
        """Ends the stream: all content has arrived, so sets the folders' times."""

    def close(self) -> None:
        """Removes what is incomplete; may be called twice."""


class Export(Protocol):
    """Writes one output to its destination. `stage` and `commit` run in a thread, `abort` in any."""

    def receiver(self, node: int) -> ArchiveReceiver | TreeReceiver:
        """Returns the receiver for a node (0, 1, …), the same one until `restart`. Raises Cancelled, OSError."""

    def final(self) -> str:
        """Returns why what nodes sent cannot be taken once more; empty if it can."""

    def restart(self, node: int) -> None:
        """Forgets what a node sent: its solve has ended, and is begun anew. Its old receiver takes nothing more."""

    def stage(self) -> None:
        """Does what can fail, once all has arrived. Raises BuildFailed, OSError, and Cancelled after `abort`."""

    def commit(self) -> None:
        """Puts the result in place. Raises OSError, and Cancelled after `abort`."""

    def abort(self) -> None:
        """Removes what is not in place yet."""


class ArchiveExport(Export, Protocol):
    """An export of one stream of bytes."""

    def receiver(self, node: int) -> ArchiveReceiver:
        """Returns the receiver of a node's archive."""
