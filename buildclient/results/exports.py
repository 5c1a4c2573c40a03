"""Where a build's outputs land on this machine: archives beside and renamed, trees into their folder."""

from __future__ import annotations

import contextlib
import os
import stat as st
import sys
import threading
from collections.abc import Sequence
from typing import BinaryIO

from buildclient.base.errors import BuildFailed, Cancelled, InvalidBuild
from buildclient.base.files import replaceable
from buildclient.request.outputs import is_archive
from buildclient.request.values import Output
from buildclient.results.filesend import ArchiveReceiver, TreeReceiver
from buildclient.results.tree import Tree

__all__ = ["Exports"]


class Exports:
    """The outputs of one build over one or several nodes.

    `receivers(node)` serve a node's session; then `commit` puts the archives in place, or `abort` takes them away.
    `abort` may be called while `commit` is at it in another thread: `commit` ends then, and what it has not yet put in
    its place does not come.
    """

    def __init__(self, outputs: Sequence[Output], nodes: int) -> None:
        """Checks every destination. Raises UsageError."""
        self._outputs = [output for output in outputs if output.type != "cacheonly"]
        self._nodes = nodes
        self._archives: dict[int, _Archive] = {}
        self._trees: list[Tree] = []
        for number, output in enumerate(self._outputs):
            _check(output)
            if is_archive(output):
                self._archives[number] = _Archive(output, nodes)
        if nodes > 1 and any(output.type == "docker" for output in self._outputs):
            raise InvalidBuild("docker exporter does not support several nodes, use the oci exporter instead")

    def receivers(self, node: int) -> dict[int, ArchiveReceiver | TreeReceiver]:
        """What takes each exporter's result from a node (0, 1, …), by the exporter's position."""
        found: dict[int, ArchiveReceiver | TreeReceiver] = {}
        for number, output in enumerate(self._outputs):
            if number in self._archives:
                found[number] = self._archives[number].part(node)
            elif output.type in ("local", "oci", "docker") and output.dest:
                found[number] = tree = Tree(output.dest)
                self._trees.append(tree)
        return found

    def commit(self) -> None:
        """Merges and puts in place what came. Raises BuildFailed and leaves nothing half-written; Cancelled by `abort`.

        A pipe without a reader holds it until then.
        """
        for archive in self._archives.values():
            archive.check()
        if not all(tree.complete for tree in self._trees):
            raise BuildFailed("the daemon sent no result for output local")
        for archive in self._archives.values():
            archive.commit()

    def abort(self) -> None:
        """Takes away what came."""
        for archive in self._archives.values():
            archive.abort()


class _Part:
    """One node's archive; fulfils ArchiveReceiver."""

    def __init__(self, file: BinaryIO, path: str = "") -> None:
        self.file = file
        self.path = path
        self.complete = False

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        for piece in pieces:
            self.file.write(piece)

    def finish(self) -> None:
        self.file.flush()
        self.complete = True


class _Stream(_Part):
    """Standard output, or what is no regular file (a device, a named pipe): the archive goes straight into it."""

    def __init__(self, dest: str) -> None:
        super().__init__(sys.stdout.buffer)
        self._dest = dest
        self._opened = dest == "-"

    def begin(self) -> None:
        """Opens it, unless it is open."""
        if not self._opened:
            self.file = open(self._dest, "wb")  # noqa: SIM115
            self._opened = True

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        # Not before: to open a pipe is to wait for its reader.
        self.begin()
        super().write(pieces)

    def finish(self) -> None:
        super().finish()
        if self._dest != "-" and self._opened:
            self.file.close()


class _Archive:
    """One output's archive, from all nodes.

    The lock guards what `abort`, on the loop, and `commit`, in a thread, both take up; nothing slow is done under it.
    """

    def __init__(self, output: Output, nodes: int) -> None:
        self._type = output.type
        self._nodes = nodes
        self._streamed = output.dest == "-" or not replaceable(output.dest)
        # A link stays, and what it leads to is replaced.
        self._dest = output.dest if self._streamed else os.path.realpath(output.dest)
        self._parts: dict[int, _Part] = {}
        self._paths: set[str] = set()
        self._lock = threading.Lock()
        self._aborted = False
        self._streamed_or_aborted = threading.Event()

    def part(self, node: int) -> _Part:
        if node not in self._parts:
            if self._streamed and self._nodes == 1:
                self._parts[node] = _Stream(self._dest)
            else:
                handle, path = self._beside()
                self._parts[node] = _Part(os.fdopen(handle, "w+b"), path)
        return self._parts[node]

    def check(self) -> None:
        if not all(part.complete for part in self._parts.values()):
            raise BuildFailed(f"the daemon sent no result for output {self._type}")

    def commit(self) -> None:
        with self._lock:
            self._go_on()
            parts = [self._parts[node] for node in sorted(self._parts)]
        if self._nodes > 1:
            self._merge(parts)
        elif parts and parts[0].path:
            parts[0].file.close()
            self._replace(parts[0].path)
        with self._lock:
            self._parts = {}

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            parts, self._parts = self._parts, {}
            paths, self._paths = self._paths, set()
        self._streamed_or_aborted.set()
        for part in parts.values():
            if part.path:
                # What is still in its buffer may not fit on the disk.
                with contextlib.suppress(OSError):
                    part.file.close()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _merge(self, parts: Sequence[_Part]) -> None:
        from buildclient.results.archive import merge_oci, merge_tars

        try:
            handle, path = self._beside()
            with os.fdopen(handle, "w+b") as out:
                for part in parts:
                    part.file.seek(0)
                (merge_tars if self._type == "tar" else merge_oci)([part.file for part in parts], out)
                if self._streamed:
                    self._stream(out)
            if not self._streamed:
                self._replace(path)
        except (OSError, ValueError):
            with self._lock:
                # Of files that `abort` has closed under our hands.
                self._go_on()
            raise
        finally:
            self.abort()

    def _stream(self, out: BinaryIO) -> None:
        """In a thread that is not waited for once aborted: a pipe that nobody reads would hold an interrupted build."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                out.seek(0)
                stream = _Stream(self._dest)
                stream.begin()
                while not self._aborted and (piece := out.read(1 << 20)):
                    stream.write([piece])
                stream.finish()
            except BaseException as error:
                failures.append(error)
            self._streamed_or_aborted.set()

        threading.Thread(target=run, daemon=True).start()
        self._streamed_or_aborted.wait()
        with self._lock:
            self._go_on()
        if failures:
            raise failures[0]

    def _replace(self, path: str) -> None:
        with self._lock:
            self._go_on()
            os.replace(path, self._dest)
            self._paths.discard(path)

    def _go_on(self) -> None:
        if self._aborted:
            raise Cancelled("the export was aborted")

    def _beside(self) -> tuple[int, str]:
        """A new file next to the destination, with the mode that a plain `open` would give."""
        import tempfile

        folder = None if self._streamed else os.path.dirname(self._dest)
        with self._lock:
            self._go_on()
            if folder:
                os.makedirs(folder, exist_ok=True)
            handle, path = tempfile.mkstemp(prefix=".buildclient-", dir=folder)
            self._paths.add(path)
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(handle, 0o666 & ~mask)
        return handle, path


def _check(output: Output) -> None:
    """Refuses a destination that is the wrong kind of thing. Raises UsageError."""
    if output.dest == "-":
        if sys.stdout.isatty():
            raise InvalidBuild(f"dest file is required for {output.type} exporter. refusing to write to console")
        return
    if not output.dest:
        return
    try:
        folder = st.S_ISDIR(os.stat(output.dest).st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        kind, reason = "file" if is_archive(output) else "directory", (error.strerror or "").lower()
        raise InvalidBuild(f"invalid destination {kind}: {output.dest}: stat {output.dest}: {reason}") from None
    if is_archive(output) and folder:
        raise InvalidBuild(f"destination file {output.dest} is a directory")
    if not is_archive(output) and not folder:
        raise InvalidBuild(f"destination directory {output.dest} is a file")
