"""Chooses the export of each output, and runs all exports as one commit step."""

from __future__ import annotations

import asyncio
import errno
import os
import stat as st
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from buildclient.base.errors import InvalidBuild, ResourceExhausted
from buildclient.base.files import replaceable
from buildclient.base.gotext import parse_bool
from buildclient.base.oserrors import reason
from buildclient.contract.platform import Platform
from buildclient.request.destinations import ToContainerd, ToEngine, ToFolder, ToStdout
from buildclient.request.limits import LOCAL_DELETE
from buildclient.request.outputs import deletes, is_layout, loads
from buildclient.request.values import NodeResult, Output
from buildclient.results.filesend import filesend
from buildclient.results.interfaces import ArchiveExport, Export
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.session.blobs import Store

__all__ = ["Exports", "export_of", "merged_export"]

Choose = Callable[[Output, int], Export | None]
"""Makes the export of an output that comes from this many nodes."""


class Exports:
    """The outputs of one build on one or several nodes; implements CommitStep.

    No file appears before every output is complete. Folders and streams are written as data arrives.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        nodes: int,
        choose: Choose | None = None,
        *,
        allow: Sequence[str] = (),
        platforms: Sequence[Platform] = (),
    ) -> None:
        """Checks every destination; `choose` makes the export of an output (see `export_of`).

        `allow` and `platforms` are the request's: its entitlements, and the order of the images. Raises UsageError.
        """
        choose = choose or (lambda output, nodes: export_of(output, nodes, platforms))
        self._exports: dict[int, Export] = {}
        for output in outputs:
            if deletes(output) and LOCAL_DELETE not in allow and isinstance(output.dest, ToFolder):
                from buildclient.results.mirror import check_deletable

                check_deletable(output.dest.path)
        # The daemon numbers the exporters of the request.
        asked = [output for output in outputs if output.type != "cacheonly"]
        for number, output in enumerate(asked):
            if (export := choose(output, nodes)) is not None:
                self._exports[number] = export
        # Folders first: one that is mirrored must not remove the file of another output.
        self._exports = dict(
            sorted(self._exports.items(), key=lambda numbered: not isinstance(asked[numbered[0]].dest, ToFolder))
        )
        if nodes > 1 and any(output.type == "docker" and not loads([output]) for output in outputs):
            raise InvalidBuild("docker exporter does not support several nodes, use the oci exporter instead")

    def services(self, node: int) -> Sequence[Service]:
        """Returns the receivers of a node (0, 1, …), by the exporter's position."""
        return (filesend({number: export.receiver(node) for number, export in self._exports.items()}),)

    def stores(self, node: int) -> Mapping[str, Store]:
        """Returns no stores."""
        return {}

    @property
    def image(self) -> Mapping[str, Any] | None:
        """The descriptor of the image that was merged of several nodes' (of the last output's, if of several)."""
        images = [getattr(self._exports[number], "image", None) for number in sorted(self._exports)]
        return next(filter(None, reversed(images)), None)

    def final(self) -> str:
        """Returns why an output cannot be taken once more, such as one that is partly on standard output."""
        return next(filter(None, (export.final() for export in self._exports.values())), "")

    def restart(self, node: int) -> None:
        """Forgets what a node sent."""
        for export in self._exports.values():
            export.restart(node)

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Merges the results of several nodes. Raises BuildFailed for a missing or invalid result, and OSError."""
        await self._each(lambda export: export.stage())

    async def commit(self) -> None:
        """Renames every file into place. Raises OSError, and Cancelled after `abort`."""
        await self._each(lambda export: export.commit())

    def abort(self) -> None:
        """Removes files that are not in place yet."""
        for export in reversed(self._exports.values()):
            export.abort()

    async def _each(self, work: Callable[[Export], None]) -> None:
        """Runs in a thread. When cancelled, aborts and waits for the thread, so that no file appears afterwards."""

        def run() -> None:
            for export in self._exports.values():
                work(export)

        running = asyncio.ensure_future(asyncio.to_thread(run))
        try:
            # Not `shield`, which writes a traceback for what the thread raises after a cancellation (Python 3.14).
            await asyncio.wait({running})
        except asyncio.CancelledError:
            self.abort()
            await asyncio.gather(running, return_exceptions=True)
            raise
        try:
            running.result()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # The status that a daemon makes of it, when the disk is full while it sends.
            raise ResourceExhausted(f"write {os.fsdecode(error.filename or '')}: {reason(error)}") from None


def export_of(output: Output, nodes: int, platforms: Sequence[Platform] = ()) -> Export | None:
    """Returns the export of one output; None if nothing comes back. `platforms` is the order of a merged index.

    Raises UsageError for a destination of the wrong kind, such as a folder instead of a file.
    """
    dest = output.dest
    # An engine's export is made by `buildclient.results.loads`, once the engine has been asked; a layout comes through
    # the content store (`buildclient.results.layoutfolder`).
    if dest is None or isinstance(dest, ToEngine | ToContainerd) or is_layout(output):
        return None
    if isinstance(dest, ToFolder):
        from buildclient.results.folder import FolderExport

        if _is_folder(dest.path, "directory") is False:
            raise InvalidBuild(f"destination directory {dest.path} is a file")
        split = parse_bool(output.attrs.get("platform-split", ""), True)
        return FolderExport(output.type, dest.path, mirrored=deletes(output), nodes=nodes, split=split)
    export: ArchiveExport
    folder = None
    if isinstance(dest, ToStdout):
        from buildclient.results.stream import StreamExport

        if sys.stdout.isatty():
            raise InvalidBuild(f"dest file is required for {output.type} exporter. refusing to write to console")
        export = StreamExport(output.type)
    elif _is_folder(dest.path, "file"):
        raise InvalidBuild(f"destination file {dest.path} is a directory")
    elif replaceable(dest.path):
        from buildclient.results.file import FileExport

        export = file = FileExport(output.type, dest.path)
        folder = file.folder
    else:
        from buildclient.results.stream import StreamExport

        export = StreamExport(output.type, dest.path)
    return export if nodes == 1 else merged_export(output.type, export, folder, platforms)


def merged_export(type_: str, into: ArchiveExport, folder: str | None, platforms: Sequence[Platform]) -> Export:
    """Returns an export that merges the archives of several nodes; `folder` (None: the system's) has them meanwhile."""
    from buildclient.results.archive import merge_oci, merge_tars
    from buildclient.results.merged import MergedExport

    def merge(parts: Sequence[BinaryIO], out: BinaryIO) -> Mapping[str, Any]:
        return merge_oci(parts, out, platforms)

    return MergedExport(type_, into, merge_tars if type_ == "tar" else merge, folder)


def _is_folder(path: str, kind: str) -> bool | None:
    """Returns whether a path is a folder; None if it does not exist. Raises UsageError if it cannot be checked."""
    try:
        return st.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidBuild(f"invalid destination {kind}: {path}: stat {path}: {reason(error)}") from None
