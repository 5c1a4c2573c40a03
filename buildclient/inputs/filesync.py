"""moby.filesync.v1.FileSync: sends the build's folders to the daemon, which asks for what it does not have.

Reference: send.go of github.com/tonistiigi/fsutil. STATs go out while the folder is still walked; contents are
asked for at any time, by id, and answered in the order asked; nothing holds a whole file.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar
from urllib.parse import unquote_plus

from buildclient.inputs.follow import with_followed
from buildclient.inputs.globs import PatternError
from buildclient.inputs.ignore import Filter
from buildclient.inputs.walk import Walk, WalkError
from buildclient.session import diffcopy
from buildclient.session.call import Call, Code, Service, Status

__all__ = ["LocalDir", "filesync"]

_T = TypeVar("_T")

_CHUNK = 256 << 10
"""Bytes of a file in one DATA packet."""
_TOGETHER = 1 << 20
"""Bytes of small files that are read and sent at a time."""


_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO))
"""Errors of `open` for what vanished or changed its kind since the walk, and for sockets (ENXIO)."""


class LocalDir(NamedTuple):
    """A folder that the daemon may read, under a name such as `context`."""

    path: str


def filesync(dirs: Mapping[str, LocalDir]) -> Service:
    """The service for these folders, and for no others; not offered where there are none."""

    async def diff_copy(call: Call) -> None:
        name = next(iter(_values(call, "dir-name")), "")
        if name not in dirs:
            raise Status(Code.NOT_FOUND, f'no access allowed to dir "{name}"')
        root = os.path.realpath(os.fsencode(dirs[name].path))
        reader = ThreadPoolExecutor(1, "context")
        try:
            await _Transfer(call, root, reader).run()
        finally:
            # Not waited for: a file system that hangs would hold an interrupted build.
            reader.shutdown(wait=False)

    return {"/moby.filesync.v1.FileSync/DiffCopy": diff_copy} if dirs else {}


class _Transfer:
    """One DiffCopy call."""

    def __init__(self, call: Call, root: bytes, reader: ThreadPoolExecutor) -> None:
        self._call = call
        self._root = root
        self._reader = reader
        self._files: dict[int, bytes] = {}
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()

    async def run(self) -> None:
        try:
            walk = Walk(self._root, self._filter())
        except PatternError as error:
            raise Status(Code.UNKNOWN, str(error)) from None
        tasks = [asyncio.ensure_future(part) for part in (self._send_stats(walk), self._requests(), self._contents())]
        try:
            await asyncio.gather(*tasks)
        except (WalkError, PatternError) as error:
            await self._call.write(diffcopy.encode_error(str(error)))
            raise Status(Code.UNKNOWN, str(error)) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _filter(self) -> Filter:
        includes = _values(self._call, "include-patterns")
        followed = _values(self._call, "followpaths")
        if followed:
            includes = with_followed(self._root, includes, followed)
        return Filter(includes, _values(self._call, "exclude-patterns"))

    async def _send_stats(self, walk: Walk) -> None:
        loop = asyncio.get_running_loop()
        batches = walk.batches()
        walker = ThreadPoolExecutor(1, "walk")
        try:
            while batch := await loop.run_in_executor(walker, _next, batches):
                # Known before they are sent: the daemon may ask as soon as it has seen them.
                self._files.update(batch.files)
                if batch.packets:
                    await self._call.write_batch(batch.packets)
                if batch.done:
                    break
        finally:
            walker.shutdown(wait=False)
        await self._call.write(diffcopy.END_OF_STATS)

    async def _requests(self) -> None:
        while messages := await self._call.read_batch():
            for message in messages:
                packet = diffcopy.decode(message)
                if packet.type == diffcopy.REQ:
                    self._wanted.put_nowait(packet.id)
                elif packet.type == diffcopy.ERR:
                    raise Status(Code.UNKNOWN, f"error from receiver: {packet.data.decode(errors='replace')}")
                elif packet.type == diffcopy.FIN_TYPE:
                    self._wanted.put_nowait(None)
                    return
        raise Status(Code.CANCELLED, "the daemon ended the transfer before its end")

    async def _contents(self) -> None:
        loop = asyncio.get_running_loop()
        while (first := await self._wanted.get()) is not None:
            wanted, fin = [first], False
            while not self._wanted.empty() and len(wanted) < 256:
                more = self._wanted.get_nowait()
                if more is None:
                    fin = True
                    break
                wanted.append(more)
            reading = self._read([(file, self._path(file)) for file in wanted])
            while piece := await loop.run_in_executor(self._reader, _next, reading):
                await self._call.write_batch(piece)
            if fin:
                break
        await self._call.write(diffcopy.FIN)

    def _path(self, file: int) -> bytes:
        path = self._files.pop(file, None)
        if path is None:
            raise Status(Code.INVALID_ARGUMENT, f"invalid file id {file}")
        return os.path.join(self._root, path)

    def _read(self, files: Sequence[tuple[int, bytes]]) -> Iterator[list[bytes]]:
        """DATA packets of the files, in lists of about a megabyte or one large piece."""
        packets: list[bytes] = []
        size = 0
        for file, path in files:
            for piece in _pieces(path):
                packets.append(diffcopy.data_head(file, len(piece)) + piece)
                size += len(piece)
                if size >= _TOGETHER:
                    yield packets
                    packets, size = [], 0
            packets.append(diffcopy.encode_data_end(file))
        yield packets


def _pieces(path: bytes) -> Iterator[bytes]:
    """A file's bytes. One that vanished since the walk, or is a socket, is sent empty, as fsutil does.

    Raises WalkError for any other that cannot be read: fsutil would send it empty, too, and build something wrong.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _GONE:
            return
        raise WalkError(f"open {os.fsdecode(path)}: {(error.strerror or '').lower()}") from None
    try:
        while piece := os.read(handle, _CHUNK):
            yield piece
    except OSError as error:
        raise WalkError(f"read {os.fsdecode(path)}: {(error.strerror or '').lower()}") from None
    finally:
        os.close(handle)


def _next(iterator: Iterator[_T]) -> _T | None:
    return next(iterator, None)


def _values(call: Call, key: str) -> list[str]:
    values = call.metadata.get(key, ())
    if call.metadata.get(f"{key}-encoded", ("",))[0] == "1":
        return [unquote_plus(value, errors="surrogateescape") for value in values]
    return list(values)
