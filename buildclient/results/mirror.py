"""`mode=delete`: makes a folder hold the result and nothing else, and says when that needs `--allow`.

Reference: ValidateLocalExportDelete of buildx 0.38 and syncTargetDiffCopy of BuildKit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from buildclient.base.errors import InvalidBuild
from buildclient.base.folders import Folders
from buildclient.base.gotext import go_quoted
from buildclient.base.oserrors import reason
from buildclient.request.limits import LOCAL_DELETE
from buildclient.results.removal import check_unmounted, remove

__all__ = ["Mirror", "check_deletable"]


def check_deletable(dest: str) -> None:
    """Checks that a folder lies below the working directory, links resolved: only there may files be deleted unasked.

    Raises InvalidBuild with docker buildx's message.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except OSError as error:
        raise InvalidBuild(f"failed to get current working directory: getwd: {reason(error)}") from None
    # docker buildx resolves `..` before links, the system after them: both ways must lead below the directory.
    for path in (dest, os.path.normpath(dest)):
        there = os.path.realpath(path)
        if there == here or os.path.commonpath((here, there)) != here:
            raise InvalidBuild(
                f"local output mode=delete for destination {go_quoted(dest)} requires --allow={LOCAL_DELETE}"
            )


class Mirror:
    """Notes every path of a result, and removes all else from the folder that it was written into.

    The result may come from several nodes, each in a thread.
    """

    def __init__(self) -> None:
        self._kept: dict[int, set[bytes]] = {}
        self._stale: list[bytes] = []

    def keep(self, path: bytes, node: int = 0) -> None:
        """Notes an entry of a node's result, and the folders above it."""
        kept = self._kept.setdefault(node, set())
        while path and path not in kept:
            kept.add(path)
            path = path.rpartition(b"/")[0]

    def restart(self, node: int) -> None:
        """Forgets a node's result, which comes anew."""
        self._kept.pop(node, None)

    def stage(self, folders: Folders) -> None:
        """Finds what does not belong to the result. Removes nothing.

        Raises OSError with the whole path: EBUSY if a file system is mounted in what would have to go.
        """
        waiting = [b""]
        kept = set[bytes]().union(*self._kept.values())
        while waiting:
            path = waiting.pop()
            with _about(folders, path):
                handle = folders.at(path)
                with os.scandir(handle) as listed:
                    entries = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listed]
            for name, is_folder in entries:
                below = path + b"/" + name if path else name
                if below not in kept:
                    self._stale.append(below)
                elif is_folder:
                    waiting.append(below)
        for path in self._stale:
            above, _, name = path.rpartition(b"/")
            with _about(folders, above):
                check_unmounted(folders.at(above), name)

    def commit(self, folders: Folders, go_on: Callable[[], None]) -> None:
        """Removes what `stage` found; `go_on` raises when the build was interrupted. Raises OSError."""
        for path in self._stale:
            go_on()
            above, _, name = path.rpartition(b"/")
            with _about(folders, above):
                handle = folders.at(above)
                before = os.fstat(handle)
                remove(handle, name)
                # The folder's time is part of the result, its root's is not.
                if above:
                    os.utime(handle, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextlib.contextmanager
def _about(folders: Folders, above: bytes) -> Iterator[None]:
    """Raises an OSError of the block with its whole path."""
    try:
        yield
    except OSError as error:
        below = error.filename if isinstance(error.filename, bytes) else b""
        raise OSError(error.errno, error.strerror, folders.path(os.path.join(above, below))) from None
