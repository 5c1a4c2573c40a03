"""A build's outputs on their way to this machine: which destination each has, and all of them as one commit step."""

from __future__ import annotations

import asyncio
import os
import stat as st
import sys
from collections.abc import Callable, Sequence

from buildclient.base.errors import InvalidBuild
from buildclient.base.files import replaceable
from buildclient.base.oserrors import reason
from buildclient.request.destinations import ToFolder, ToStdout
from buildclient.request.values import NodeResult, Output
from buildclient.results.filesend import filesend
from buildclient.results.interfaces import ArchiveExport, Export
from buildclient.session.call import Service

__all__ = ["Exports", "export_of"]

Choose = Callable[[Output, int], Export | None]
"""The export of an output that comes from this many nodes."""


class Exports:
    """The outputs of one build over one or several nodes; fulfils CommitStep.

    No file is put in its place before every output is whole. Folders and streams take what comes as it comes.
    """

    def __init__(self, outputs: Sequence[Output], nodes: int, choose: Choose | None = None) -> None:
        """Checks every destination; `choose` makes the export of an output (`export_of`). Raises UsageError."""
        choose = choose or export_of
        self._exports: dict[int, Export] = {}
        # The daemon counts the exporters that it was asked for.
        asked = [output for output in outputs if output.type != "cacheonly"]
        for number, output in enumerate(asked):
            if (export := choose(output, nodes)) is not None:
                self._exports[number] = export
        if nodes > 1 and any(output.type == "docker" for output in outputs):
            raise InvalidBuild("docker exporter does not support several nodes, use the oci exporter instead")

    def services(self, node: int) -> Sequence[Service]:
        """What takes each exporter's result from a node (0, 1, …), by the exporter's position."""
        return (filesend({number: export.receiver(node) for number, export in self._exports.items()}),)

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Merges what came of several nodes. Raises BuildFailed for what did not come or cannot be read, OSError."""
        await self._each(lambda export: export.stage())

    async def commit(self) -> None:
        """Puts every file in its place. Raises OSError, and Cancelled after `abort`."""
        await self._each(lambda export: export.commit())

    def abort(self) -> None:
        """Takes away what is not in its place."""
        for export in reversed(self._exports.values()):
            export.abort()

    async def _each(self, work: Callable[[Export], None]) -> None:
        """In a thread; cancelled, it aborts, and waits for the thread: what it was at must not come afterwards."""

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
        running.result()


def export_of(output: Output, nodes: int) -> Export | None:
    """The way of one output to its destination; None where nothing comes back.

    Raises UsageError for a destination that is the wrong kind of thing.
    """
    dest = output.dest
    if dest is None:
        return None
    if isinstance(dest, ToFolder):
        from buildclient.results.folder import FolderExport

        if _is_folder(dest.path, "directory") is False:
            raise InvalidBuild(f"destination directory {dest.path} is a file")
        return FolderExport(output.type, dest.path)
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
    return export if nodes == 1 else _merged(output.type, export, folder)


def _merged(type_: str, into: ArchiveExport, folder: str | None) -> Export:
    from buildclient.results.archive import merge_oci, merge_tars
    from buildclient.results.merged import MergedExport

    return MergedExport(type_, into, merge_tars if type_ == "tar" else merge_oci, folder)


def _is_folder(path: str, kind: str) -> bool | None:
    """Whether a path is a folder; None where there is nothing. Raises UsageError where that cannot be told."""
    try:
        return st.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidBuild(f"invalid destination {kind}: {path}: stat {path}: {reason(error)}") from None
