"""Writes an exported tree into a folder, and never outside of it, whatever the daemon sends.

Every step down goes by a folder's handle and follows no link, so neither `..` nor a link that was there before, or
came a moment ago, leads out.
"""

from __future__ import annotations

import contextlib
import os
import stat as st

from buildclient.core.diffcopy import (
    GO_CHAR,
    GO_DEVICE,
    GO_DIR,
    GO_FIFO,
    GO_SYMLINK,
    GO_TYPE,
    DiffCopyError,
    Stat,
    unix_mode,
)

__all__ = ["Tree"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A destination folder; what is in it already stays unless an entry of the same name comes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def open(self) -> _Writer:
        """A writer for one stream. Raises OSError when the folder cannot be made."""
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        return _Writer(self._folder)


class _Writer:
    def __init__(self, folder: str) -> None:
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._position = -1
        self._wanted: dict[int, Stat] = {}
        self._files: dict[int, int] = {}
        self._folders: list[Stat] = []

    def entry(self, stat: Stat) -> bool:
        """Makes one entry; whether its content is wanted."""
        self._position += 1
        parent, name = self._parent(stat.path)
        try:
            return self._make(stat, parent, name)
        finally:
            if parent != self._root:
                os.close(parent)

    def data(self, file: int, data: bytes) -> None:
        """Writes content; empty data ends the file."""
        if file not in self._files:
            self._files[file] = self._create(self._wanted[file])
        handle = self._files[file]
        if data:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            return
        stat = self._wanted.pop(file)
        os.fchmod(handle, unix_mode(stat.mode))
        os.utime(handle, ns=(stat.mtime, stat.mtime))
        os.close(self._files.pop(file))

    def finish(self) -> None:
        """Sets the folders' modes and times, which writing into them has changed, and lets go of the root."""
        for stat in reversed(self._folders):
            parent, name = self._parent(stat.path)
            try:
                handle = os.open(name, _DIRECTORY, dir_fd=parent)
                os.fchmod(handle, unix_mode(stat.mode))
                os.utime(handle, ns=(stat.mtime, stat.mtime))
                os.close(handle)
            finally:
                if parent != self._root:
                    os.close(parent)
        self.close()

    def close(self) -> None:
        """Lets go of everything."""
        for handle in self._files.values():
            os.close(handle)
        self._files.clear()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """A handle of the folder that holds a path, and the last name. Raises DiffCopyError for what is not clean."""
        parts = path.split(b"/")
        if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
            raise DiffCopyError(f"the daemon sent the path {path!r}, which is not inside the export")
        handle = self._root
        for part in parts[:-1]:
            try:
                below = os.open(part, _DIRECTORY, dir_fd=handle)
            except OSError as error:
                raise DiffCopyError(
                    f"cannot write {os.fsdecode(path)}: {os.fsdecode(part)} is no folder ({error.strerror})"
                ) from None
            finally:
                if handle != self._root:
                    os.close(handle)
            handle = below
        return handle, parts[-1]

    def _make(self, stat: Stat, parent: int, name: bytes) -> bool:
        kind = stat.mode & GO_TYPE
        if kind == GO_DIR:
            self._folder(parent, name)
            self._folders.append(stat)
            return False
        _remove(parent, name)
        if kind == GO_SYMLINK:
            os.symlink(stat.linkname, name, dir_fd=parent)
            os.utime(name, ns=(stat.mtime, stat.mtime), dir_fd=parent, follow_symlinks=False)
        elif kind & GO_DEVICE:
            device = st.S_IFCHR if kind & GO_CHAR else st.S_IFBLK
            number = os.makedev(stat.devmajor, stat.devminor)
            os.mknod(name, device | unix_mode(stat.mode), number, dir_fd=parent)
        elif kind == GO_FIFO:
            os.mkfifo(name, unix_mode(stat.mode), dir_fd=parent)
        elif stat.linkname:
            source, source_name = self._parent(stat.linkname)
            try:
                os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                if source != self._root:
                    os.close(source)
        else:
            # Made now, so that a hard link that follows finds it; filled when its content comes.
            os.close(os.open(name, _CREATE, 0o600, dir_fd=parent))
            self._wanted[self._position] = stat
            return True
        return False

    def _folder(self, parent: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not st.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)

    def _create(self, stat: Stat) -> int:
        parent, name = self._parent(stat.path)
        try:
            return os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        finally:
            if parent != self._root:
                os.close(parent)


def _remove(parent: int, name: bytes) -> None:
    """Makes room for an entry; a folder that is not empty stays, and the entry fails."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=parent)
