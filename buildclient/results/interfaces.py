"""The protocols of a build's results: what takes them, and how they are put in place after the solves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from buildclient.request.values import NodeResult
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.diffcopy import Stat

__all__ = ["ArchiveExport", "ArchiveReceiver", "CommitStep", "Export", "TreeReceiver", "TreeWriter"]


class CommitStep(Protocol):
    """A part of the result that is put in place once every node has answered: exports, tags, a cache's index.

    All steps are staged in their order, and then committed in their order. At the end of the build each is aborted,
    in reverse order, also after it was committed, when there is nothing left to take away.
    """

    def services(self, node: int) -> Sequence[Service]:
        """What a node's session serves for this step; asked for once a solve. Nodes count from 0."""

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Does all that can fail and be taken back, such as writing beside a file's place. Raises ClientError."""

    async def commit(self) -> None:
        """Puts in place what was staged, and does little else: steps before this one are in place by now.

        Raises ClientError.
        """

    def abort(self) -> None:
        """Takes away what came and is not in its place; also while `stage` or `commit` is at it, which end soon."""


class ArchiveReceiver(Protocol):
    """Takes one stream of bytes (oci, docker, tar); called in a thread."""

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """The next bytes. Raises OSError."""

    def finish(self) -> None:
        """All of it came."""


class TreeReceiver(Protocol):
    """Takes a tree of files (local); called in a thread."""

    def open(self) -> TreeWriter:
        """A writer for one stream; several platforms may come at once."""


class TreeWriter(Protocol):
    """Writes one stream's entries."""

    def entry(self, stat: Stat) -> bool:
        """Makes an entry; whether its content is wanted. Raises OSError, DiffCopyError for a path that must not be."""

    def data(self, file: int, data: bytes) -> None:
        """Content of the entry of that position, empty at its end. Raises OSError."""

    def finish(self) -> None:
        """Every content came: sets the folders' times."""

    def close(self) -> None:
        """Takes away what is incomplete; may be called twice."""


class Export(Protocol):
    """One output on its way to its destination; `stage` and `commit` are called in a thread, `abort` in any."""

    def receiver(self, node: int) -> ArchiveReceiver | TreeReceiver:
        """What takes this output from a node (0, 1, …); the same one if asked again. Raises Cancelled, OSError."""

    def stage(self) -> None:
        """All of it came: whatever can fail is done now. Raises BuildFailed, OSError, and Cancelled after `abort`."""

    def commit(self) -> None:
        """Puts it in its place. Raises OSError, and Cancelled after `abort`."""

    def abort(self) -> None:
        """Takes away what is not in its place."""


class ArchiveExport(Export, Protocol):
    """An export of one stream of bytes."""

    def receiver(self, node: int) -> ArchiveReceiver:
        """What takes the archive from a node."""
