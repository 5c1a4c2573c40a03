"""Walks a context and encodes its entries as the daemon expects them: depth first, siblings by raw bytes.

Runs in its own thread and hands over batches, so that the first STATs are sent while the rest is still walked. It uses
descriptors below the context's, so a folder that is replaced by a symlink meanwhile does not lead out of the context.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from buildclient.base.folders import Folders
from buildclient.base.oserrors import reason
from buildclient.inputs.ignore import ROOT, Filter, Verdict
from buildclient.session.diffcopy import encode_stat, go_mode

__all__ = ["Batch", "Walk", "WalkError"]

_ADDED_MODE = go_mode(st.S_IFREG | 0o644)
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

    entries: Iterator[tuple[bytes, bool]]
    """Names, and whether they are folders."""
    prefix: bytes
    """Its relative path with a slash behind, empty at the root."""
    path: bytes
    verdict: Verdict


class Walk:
    """One walk over one folder."""

    def __init__(self, folders: Folders, chosen: Filter, added: Mapping[bytes, bytes] | None = None) -> None:
        """`chosen` says what is sent of a folder; `added` are files at its root that it does not hold, by name."""
        self._added = added or {}
        self._folders = folders
        self._stopped = False
        self._filter = chosen
        self._next = 0
        self._packets: list[bytes] = []
        self._files: dict[int, bytes] = {}
        self._links: dict[tuple[int, int], bytes] = {}
        self._pending: list[_Pending] = []

    def stop(self) -> None:
        """Ends the walk at its next entry; from another thread."""
        self._stopped = True

    def batches(self) -> Iterator[Batch]:
        """The entries, the root itself excluded; the last batch says so. Raises WalkError, PatternError."""
        # A stack of our own, since folders may be nested deeper than Python's calls.
        levels = [_Level(iter(self._listing(b"")), b"", b"", ROOT)]
        while levels:
            level = levels[-1]
            for name, folder in level.entries:
                if self._stopped:
                    return
                below = self._entry(name, folder, level)
                if below:
                    levels.append(below)
                    break
                if len(self._packets) >= _BATCH:
                    yield self._batch(done=False)
            else:
                levels.pop()
                if self._pending and self._pending[-1].path == level.path:
                    self._pending.pop()
        yield self._batch(done=True)

    def _batch(self, *, done: bool) -> Batch:
        batch = Batch(self._packets, self._files, done)
        self._packets, self._files = [], {}
        return batch

    def _entry(self, name: bytes, folder: bool, level: _Level) -> _Level | None:
        """Sends one entry if it is chosen; gives the level below it if that is to be walked."""
        path = level.prefix + name
        verdict = ROOT
        if not self._filter.passes_all:
            # Not fsdecode: patterns are UTF-8, whatever the locale.
            text = path.decode("utf-8", "surrogateescape")
            verdict = self._filter.verdict(text, level.verdict, folder=folder)
            if not verdict.send and not verdict.descend:
                return None
        if path in self._added:
            self._files[self._next] = path
            self._packets.append(encode_stat(path, _ADDED_MODE, len(self._added[path]), 0, b"", (0, 0), None))
            self._next += 1
            return None
        try:
            handle = self._folders.at(level.path)
            info = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if verdict.send:
                if self._pending:
                    self._flush_folders()
                    handle = self._folders.at(level.path)
                self._emit(path, handle, name, info)
            if not (folder and verdict.descend):
                return None
            entries = self._listing(path, needed=verdict.send)
        except FileNotFoundError:
            # It vanished while we walked; what is gone is not sent.
            return None
        except OSError as error:
            raise WalkError(f"lstat {self._folders.path(path)}: {reason(error)}") from None
        if not verdict.send:
            self._pending.append(_Pending(path, info))
        return _Level(iter(entries), path + b"/", path, verdict)

    def _listing(self, path: bytes, *, needed: bool = True) -> Sequence[tuple[bytes, bool]]:
        """A folder's entries, by raw name; none of one that is closed to us and not `needed`, as in fsutil."""
        try:
            with os.scandir(self._folders.at(path)) as entries:
                found = {os.fsencode(entry.name): entry.is_dir(follow_symlinks=False) for entry in entries}
                return sorted({**found, **({} if path else dict.fromkeys(self._added, False))}.items())
        except FileNotFoundError:
            return ()
        except OSError as error:
            if isinstance(error, PermissionError) and not needed:
                return ()
            raise WalkError(f"open {self._folders.path(path)}: {reason(error)}") from None

    def _flush_folders(self) -> None:
        """Sends the folders above what is about to be sent, which themselves did not match."""
        pending, self._pending = self._pending, []
        for folder in pending:
            above, _, name = folder.path.rpartition(b"/")
            self._emit(folder.path, self._folders.at(above), name, folder.info)

    def _emit(self, path: bytes, handle: int, name: bytes, info: os.stat_result) -> None:
        """Sends what stands under a name in the folder of this handle."""
        mode, link, size = info.st_mode, b"", info.st_size
        kind = st.S_IFMT(mode)
        device = (0, 0)
        if kind == st.S_IFDIR:
            size = 0
        elif kind == st.S_IFLNK:
            link = os.readlink(name, dir_fd=handle)
        else:
            if kind in (st.S_IFBLK, st.S_IFCHR):
                device = (os.major(info.st_rdev), os.minor(info.st_rdev))
            if info.st_nlink > 1:
                first = self._links.setdefault((info.st_dev, info.st_ino), path)
                link = b"" if first == path else first
        if kind not in _SPECIAL:
            # Every regular file, sockets included; the daemon asks for no hard link's content.
            self._files[self._next] = path
        xattrs = _xattrs(b"/proc/self/fd/%d/%s" % (handle, name))
        self._packets.append(encode_stat(path, go_mode(mode), size, info.st_mtime_ns, link, device, xattrs))
        self._next += 1


_SPECIAL = frozenset((st.S_IFDIR, st.S_IFLNK, st.S_IFBLK, st.S_IFCHR, st.S_IFIFO))


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
