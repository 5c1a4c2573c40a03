"""Walks a context and encodes its entries as the daemon expects them: depth first, siblings by raw bytes.

Runs in a thread of its own, handing over batches, so that the first STATs leave while the rest is still walked.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buildclient.inputs.ignore import ROOT, Filter, Verdict
from buildclient.session.diffcopy import encode_stat, go_mode

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


class _Pending(NamedTuple):
    """A folder that is sent only when something in it is."""

    path: bytes
    info: os.stat_result


class _Level(NamedTuple):
    """A folder whose entries are being looked at."""

    entries: Iterator[os.DirEntry[bytes]]
    prefix: bytes
    """Its relative path with a slash behind, empty at the root."""
    verdict: Verdict


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
        self._pending: list[_Pending] = []

    def batches(self) -> Iterator[Batch]:
        """The entries, the root itself excluded; the last batch says so. Raises WalkError, PatternError."""
        # A stack of our own, since folders may be nested deeper than Python's calls.
        levels = [_Level(iter(_listing(self._root)), b"", ROOT)]
        while levels:
            level = levels[-1]
            for entry in level.entries:
                below = self._entry(entry, level)
                if below:
                    levels.append(below)
                    break
                if len(self._packets) >= _BATCH:
                    yield self._batch(done=False)
            else:
                levels.pop()
                if self._pending and self._pending[-1].path + b"/" == level.prefix:
                    self._pending.pop()
        yield self._batch(done=True)

    def _batch(self, *, done: bool) -> Batch:
        batch = Batch(self._packets, self._files, done)
        self._packets, self._files = [], {}
        return batch

    def _entry(self, entry: os.DirEntry[bytes], level: _Level) -> _Level | None:
        """Sends one entry if it is chosen; gives the level below it if that is to be walked."""
        path = level.prefix + entry.name
        folder = entry.is_dir(follow_symlinks=False)
        verdict = ROOT
        if not self._filter.passes_all:
            # Not fsdecode: patterns are UTF-8, whatever the locale.
            text = path.decode("utf-8", "surrogateescape")
            verdict = self._filter.verdict(text, level.verdict, folder=folder)
            if not verdict.send and not verdict.descend:
                return None
        try:
            info = entry.stat(follow_symlinks=False)
            if verdict.send:
                self._flush_folders()
                self._emit(path, entry.path, info)
            if not (folder and verdict.descend):
                return None
            entries = _listing(entry.path, needed=verdict.send)
        except (FileNotFoundError, NotADirectoryError):
            # It vanished while we walked; what is gone is not sent.
            return None
        except OSError as error:
            raise WalkError(f"lstat {os.fsdecode(entry.path)}: {(error.strerror or '').lower()}") from None
        if not verdict.send:
            self._pending.append(_Pending(path, info))
        return _Level(iter(entries), path + b"/", verdict)

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


def _listing(folder: bytes, *, needed: bool = True) -> Sequence[os.DirEntry[bytes]]:
    """A folder's entries, by raw name. One that is not sent itself may be closed to us (fsutil takes it as empty)."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=_name)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        if isinstance(error, PermissionError) and not needed:
            return ()
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
