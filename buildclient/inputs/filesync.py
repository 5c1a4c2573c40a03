"""moby.filesync.v1.FileSync: sends the build's folders to the daemon, which asks for what it does not have.

Reference: send.go of github.com/tonistiigi/fsutil. STATs go out while the folder is still walked; contents are
asked for at any time, by id, and answered in the order asked; nothing holds a whole file.

The daemon is not trusted: it gets what is in the folder and nothing else. It may write into that folder (`-o .`) and
ask in any order, so files are opened by descriptors below the folder's, through no symlink; an entry whose type
changed since it was listed ends the build.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat as st
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_plus

from buildclient.base.folders import Folders, reopened
from buildclient.base.oserrors import reason
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
_FEW = 32
"""Files that are sent without waiting for more: a small context is sent at once."""
_LINGER = 0.004
"""Seconds to wait for more files to be asked for, once there have been many.

The daemon asks for them one by one, without waiting for the one before; each answer of its own costs a wake-up of every
part on the way.
"""


_GONE = frozenset((errno.ENOENT, errno.ENXIO))
"""Errors of `open` for what vanished since the walk, and for sockets (ENXIO)."""
_SWAPPED = frozenset((errno.ENOTDIR, errno.ELOOP))
"""Errors of `open` for what became a link since the walk, or lies below one."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW


class LocalDir(NamedTuple):
    """A folder that the daemon may read, under a name such as `context`."""

    path: str
    handle: int = -1
    """The folder's handle, held as long as the build: its path may lead elsewhere by the time it is asked for."""

    added: Mapping[bytes, bytes] = {}
    """Files at its root that are sent as if they were there, by name."""

    def folders(self) -> Folders:
        """A way down into it. Raises OSError."""
        if self.handle < 0:
            return Folders.of(self.path)
        return Folders(reopened(self.handle), os.path.realpath(os.fsencode(self.path)))


def filesync(dirs: Mapping[str, LocalDir]) -> Service:
    """The service for these folders, and for no others; not offered where there are none."""

    async def diff_copy(call: Call) -> None:
        name = next(iter(_values(call, "dir-name")), "")
        if name not in dirs:
            raise Status(Code.NOT_FOUND, f'no access allowed to dir "{name}"')
        try:
            await _Sender(call, dirs[name]).run()
        except OSError as error:
            raise Status(Code.UNKNOWN, f"open {dirs[name].path}: {reason(error)}") from None

    return {"/moby.filesync.v1.FileSync/DiffCopy": diff_copy} if dirs else {}


class _Sender:
    """One DiffCopy call."""

    def __init__(self, call: Call, folder: LocalDir) -> None:
        self._call = call
        self._folder = folder
        self._files: dict[int, bytes] = {}
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()

    async def run(self) -> None:
        tasks = [asyncio.ensure_future(part) for part in (self._send_stats(), self._requests(), self._contents())]
        try:
            await asyncio.gather(*tasks)
        except (WalkError, PatternError) as error:
            await self._call.write(diffcopy.encode_error(str(error)))
            raise Status(Code.UNKNOWN, str(error)) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _walk(self, folders: Folders) -> Walk:
        includes = _values(self._call, "include-patterns")
        followed = _values(self._call, "followpaths")
        if followed:
            includes = with_followed(folders, includes, followed)
        return Walk(folders, Filter(includes, _values(self._call, "exclude-patterns")), self._folder.added)

    async def _send_stats(self) -> None:
        async with _thread("walk", self._folder.folders()) as (run, folders):
            walk = await run(self._walk, folders)
            batches = walk.batches()
            try:
                while batch := await run(_next, batches):
                    # Known before they are sent: the daemon may ask as soon as it has seen them.
                    self._files.update(batch.files)
                    if batch.packets:
                        await self._call.write_batch(batch.packets)
                    if batch.done:
                        break
            finally:
                walk.stop()
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
        async with _thread("context", self._folder.folders()) as (run, folders):
            fin, sent = False, 0
            while not fin and (first := await self._wanted.get()) is not None:
                if sent > _FEW:
                    await asyncio.sleep(_LINGER)
                wanted = [first]
                while not self._wanted.empty() and len(wanted) < 256:
                    more = self._wanted.get_nowait()
                    if more is None:
                        fin = True
                        break
                    wanted.append(more)
                sent += len(wanted)
                reading = _read(folders, [(file, self._path(file)) for file in wanted], self._folder.added)
                while piece := await run(_next, reading):
                    await self._call.write_batch(piece)
        await self._call.write(diffcopy.FIN)

    def _path(self, file: int) -> bytes:
        path = self._files.pop(file, None)
        if path is None:
            raise Status(Code.INVALID_ARGUMENT, f"invalid file id {file}")
        return path


@contextlib.asynccontextmanager
async def _thread(name: str, folders: Folders) -> AsyncIterator[tuple[Callable[..., Awaitable[Any]], Folders]]:
    """A thread that works below a folder: how to run something there, and the folder, which it closes in the end."""
    thread = ThreadPoolExecutor(1, name)
    try:
        yield partial(asyncio.get_running_loop().run_in_executor, thread), folders
    finally:
        # Behind what still runs, but not waited for: a file system that hangs would hold an interrupted build.
        thread.submit(folders.close)
        thread.shutdown(wait=False)


def _read(folders: Folders, files: Sequence[tuple[int, bytes]], added: Mapping[bytes, bytes]) -> Iterator[list[bytes]]:
    """DATA packets of the files, in lists of about a megabyte or one large piece."""
    packets: list[bytes] = []
    size = 0
    for file, path in files:
        for piece in (added[path],) if path in added else _pieces(folders, path):
            packets.append(diffcopy.data_head(file, len(piece)) + piece)
            size += len(piece)
            if size >= _TOGETHER:
                yield packets
                packets, size = [], 0
        packets.append(diffcopy.encode_data_end(file))
    yield packets


def _pieces(folders: Folders, path: bytes) -> Iterator[bytes]:
    """A file's bytes. One that vanished since the walk, or is a socket, is sent empty, as fsutil does.

    Raises WalkError for any other that cannot be read (fsutil would send it empty, too, and build something wrong), and
    for what is another kind of thing than when it was listed (fsutil would follow a link).
    """
    above, _, name = path.rpartition(b"/")
    try:
        handle = os.open(name, _OPEN, dir_fd=folders.at(above))
    except OSError as error:
        if error.errno in _GONE:
            return
        if error.errno in _SWAPPED:
            raise _changed(folders, path) from None
        raise WalkError(f"open {folders.path(path)}: {reason(error)}") from None
    try:
        if not st.S_ISREG(os.fstat(handle).st_mode):
            raise _changed(folders, path)
        while piece := os.read(handle, _CHUNK):
            yield piece
    except OSError as error:
        raise WalkError(f"read {folders.path(path)}: {reason(error)}") from None
    finally:
        os.close(handle)


def _changed(folders: Folders, path: bytes) -> WalkError:
    return WalkError(f"open {folders.path(path)}: it is no longer the file that was listed; refused")


def _next(iterator: Iterator[_T]) -> _T | None:
    return next(iterator, None)


def _values(call: Call, key: str) -> list[str]:
    values = call.metadata.get(key, ())
    if call.metadata.get(f"{key}-encoded", ("",))[0] == "1":
        return [unquote_plus(value, errors="surrogateescape") for value in values]
    return list(values)
