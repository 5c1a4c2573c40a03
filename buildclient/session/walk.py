"""Walks a context and encodes its entries as the daemon expects them: depth first, siblings by raw bytes.

Runs in a thread of its own, handing over batches, so that the first STATs leave while the rest is still walked.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buildclient.core.diffcopy import encode_stat, go_mode
from buildclient.core.ignore import ROOT, Filter, Verdict

__all__ = ["Batch", "Walk", "WalkError"]

_BATCH = 512
"""Entries handed over at a time."""


class WalkError(Exception):
    """A folder or a file that cannot be looked at; the message names it and why."""


class Batch(NamedTuple):
    """Encoded STAT packets, and the paths (relative) of those that the daemon may ask for, by id."""

    packets: list[bytes]
    files: dict[int, bytes]
    done: bool


class _Folder(NamedTuple):
    """A folder that is sent only when something in it is."""

    path: bytes
    info: os.stat_result


class Walk:
    """One walk over one folder."""

    def __init__(self, root: bytes, chosen: Filter) -> None:
        """`root` is the folder's path; `chosen` says what is sent."""
        self._root = root
        self._filter = chosen
        self._next = 0
        self._packets: list[bytes] = []
        self._files: dict[int, bytes] = {}
        self._links: dict[tuple[int, int], bytes] = {}
        self._pending: list[_Folder] = []

    def batches(self) -> Iterator[Batch]:
        """The entries, the root itself excluded; the last batch says so. Raises WalkError."""
        for _ in self._folder(self._root, b"", ROOT):
            if len(self._packets) >= _BATCH:
                yield self._batch(done=False)
        yield self._batch(done=True)

    def _batch(self, *, done: bool) -> Batch:
        batch = Batch(self._packets, self._files, done)
        self._packets, self._files = [], {}
        return batch

    def _folder(self, absolute: bytes, relative: bytes, parent: Verdict) -> Iterator[None]:
        all_pass = self._filter.passes_all
        for entry in _listing(absolute):
            path = relative + entry.name
            folder = entry.is_dir(follow_symlinks=False)
            verdict = ROOT
            if not all_pass:
                verdict = self._filter.verdict(os.fsdecode(path), parent, folder=folder)
                if not verdict.send and not verdict.descend:
                    continue
            try:
                info = entry.stat(follow_symlinks=False)
                if verdict.send:
                    self._flush_folders()
                    self._emit(path, entry.path, info)
                    yield
                elif folder:
                    self._pending.append(_Folder(path, info))
                if folder and verdict.descend:
                    yield from self._folder(entry.path, path + b"/", verdict)
            except FileNotFoundError:
                # It vanished while we walked; what is gone is not sent.
                continue
            finally:
                if self._pending and self._pending[-1].path == path:
                    self._pending.pop()

    def _flush_folders(self) -> None:
        """Sends the folders above what is about to be sent, which themselves did not match."""
        if self._pending:
            pending, self._pending = self._pending, []
            for folder in pending:
                self._emit(folder.path, os.path.join(self._root, folder.path), folder.info)

    def _emit(self, path: bytes, absolute: bytes, info: os.stat_result) -> None:
        mode, link, size = info.st_mode, b"", info.st_size
        kind = st.S_IFMT(mode)
        device = (0, 0)
        if kind == st.S_IFDIR:
            size = 0
        elif kind == st.S_IFLNK:
            link = os.readlink(absolute)
        else:
            if kind in (st.S_IFBLK, st.S_IFCHR):
                device = (os.major(info.st_rdev), os.minor(info.st_rdev))
            if info.st_nlink > 1:
                first = self._links.setdefault((info.st_dev, info.st_ino), path)
                link = b"" if first == path else first
        if kind not in _SPECIAL:
            # Every regular file, sockets included; the daemon asks for no hard link's content.
            self._files[self._next] = path
        self._packets.append(encode_stat(path, go_mode(mode), size, info.st_mtime_ns, link, device, _xattrs(absolute)))
        self._next += 1


_SPECIAL = frozenset((st.S_IFDIR, st.S_IFLNK, st.S_IFBLK, st.S_IFCHR, st.S_IFIFO))


def _listing(folder: bytes) -> Sequence[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=_name)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise WalkError(f"open {os.fsdecode(folder)}: {(error.strerror or '').lower()}") from None


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _xattrs(path: bytes) -> dict[bytes, bytes] | None:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return None
    if not names:
        return None
    found: dict[bytes, bytes] = {}
    for name in names:
        if name.startswith("com.apple."):
            continue
        try:
            found[os.fsencode(name)] = os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            continue
    return found
