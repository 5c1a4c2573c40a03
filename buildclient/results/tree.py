"""Writes an exported tree into a folder, and never outside of it, whatever the daemon sends.

Every step down goes by a folder's handle and follows no link, so neither `..` nor a link that was there before, or
came a moment ago, leads out. A file is written beside its place and renamed into it once it is complete: a build
that fails leaves each file as it was, or new and whole. Hard links come last, since what they name may come late.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat as st

from buildclient.session.diffcopy import (
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
        self.complete = False
        """Whether a stream has come to its end."""

    def open(self) -> _Writer:
        """A writer for one stream. Raises OSError when the folder cannot be made."""
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        return _Writer(self, self._folder)


class _Writer:
    def __init__(self, tree: Tree, folder: str) -> None:
        self._tree = tree
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._here: tuple[bytes, int] = (b"", self._root)
        self._mark = secrets.token_hex(6)
        self._position = -1
        self._wanted: dict[int, Stat] = {}
        self._files: dict[int, int] = {}
        self._links: list[Stat] = []
        self._folders: list[Stat] = []

    def entry(self, stat: Stat) -> bool:
        """Makes one entry, or remembers it; whether its content is wanted."""
        self._position += 1
        kind = stat.mode & GO_TYPE
        parent, name = self._parent(stat.path)
        if kind == GO_DIR:
            _make_folder(parent, name)
            self._folders.append(stat)
        elif kind:
            _make_special(parent, name, stat)
        elif stat.linkname:
            self._links.append(stat)
        else:
            self._wanted[self._position] = stat
            return True
        return False

    def data(self, file: int, data: bytes) -> None:
        """Writes content; empty data ends the file and puts it in its place."""
        stat = self._wanted[file]
        parent, name = self._parent(stat.path)
        if file not in self._files:
            self._files[file] = os.open(self._beside(file), _CREATE, 0o600, dir_fd=parent)
        handle = self._files[file]
        if data:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            return
        _apply_metadata(handle, stat)
        os.close(self._files.pop(file))
        try:
            os.rename(self._beside(file), name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            os.unlink(self._beside(file), dir_fd=parent)
            raise _in_the_way(stat.path, error) from None
        del self._wanted[file]

    def finish(self) -> None:
        """Makes hard links, sets the folders' modes and times, which writing into them changed, and lets go."""
        for stat in self._links:
            source, source_name = self._parent(stat.linkname)
            # The next look-up closes the handle.
            source = os.dup(source)
            try:
                parent, name = self._parent(stat.path)
                _remove(parent, name, stat.path)
                os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source)
        for stat in reversed(self._folders):
            parent, name = self._parent(stat.path)
            handle = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                _apply_metadata(handle, stat)
            finally:
                os.close(handle)
        self.close()
        self._tree.complete = True

    def close(self) -> None:
        """Takes away what is incomplete and lets go of everything; may be called twice."""
        for file, handle in self._files.items():
            os.close(handle)
            with contextlib.suppress(OSError, DiffCopyError):
                os.unlink(self._beside(file), dir_fd=self._parent(self._wanted[file].path)[0])
        self._files.clear()
        for handle in {self._here[1], self._root} - {-1}:
            os.close(handle)
        self._root, self._here = -1, (b"", -1)

    def _beside(self, file: int) -> str:
        return f".buildclient-{self._mark}-{file}"

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """A handle of the folder that holds a path, good until the next call, and the last name.

        Raises DiffCopyError for a path that is not clean, or whose folders are none.
        """
        folder, _, name = path.rpartition(b"/")
        parts = folder.split(b"/") if folder else []
        if path.startswith(b"/") or any(part in (b"", b".", b"..") or b"\0" in part for part in (*parts, name)):
            raise DiffCopyError(f"the daemon sent the path {path!r}, which is not inside the export")
        if folder != self._here[0]:
            handle = self._descend(parts, path)
            if self._here[1] != self._root:
                os.close(self._here[1])
            self._here = (folder, handle)
        return self._here[1], name

    def _descend(self, parts: list[bytes], path: bytes) -> int:
        handle = self._root
        for part in parts:
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
        return handle


def _make_folder(parent: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if not st.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o700, dir_fd=parent)


def _make_special(parent: int, name: bytes, stat: Stat) -> None:
    """A link, a device or a pipe. Raises DiffCopyError for a kind that is none of these."""
    kind = stat.mode & GO_TYPE
    if kind not in (GO_SYMLINK, GO_FIFO, GO_DEVICE, GO_DEVICE | GO_CHAR):
        raise DiffCopyError(f"the daemon sent {stat.path!r} of a kind that cannot be written ({kind:#x})")
    _remove(parent, name, stat.path)
    if kind == GO_SYMLINK:
        os.symlink(stat.linkname, name, dir_fd=parent)
    else:
        type_ = st.S_IFIFO if kind == GO_FIFO else st.S_IFCHR if kind & GO_CHAR else st.S_IFBLK
        os.mknod(name, type_ | 0o600, os.makedev(stat.devmajor, stat.devminor), dir_fd=parent)
        _set_mode(parent, name, type_, unix_mode(stat.mode))
    _set_xattrs(b"/proc/self/fd/%d/%s" % (parent, name), stat)
    os.utime(name, ns=(stat.mtime, stat.mtime), dir_fd=parent, follow_symlinks=False)


def _set_mode(parent: int, name: bytes, type_: int, mode: int) -> None:
    """Sets the mode of what was just made, and of nothing that another stream has put in its place since: no link."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if st.S_IFMT(os.fstat(handle).st_mode) == type_:
            os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def _apply_metadata(handle: int, stat: Stat) -> None:
    """Sets xattrs, mode and mtime of an open file or folder."""
    _set_xattrs(handle, stat)
    os.fchmod(handle, unix_mode(stat.mode))
    os.utime(handle, ns=(stat.mtime, stat.mtime))


def _set_xattrs(place: int | bytes, stat: Stat) -> None:
    for key, value in stat.xattrs.items():
        # Not every file system or user may set every one; fsutil does without, too.
        with contextlib.suppress(OSError):
            if isinstance(place, int):
                os.setxattr(place, key, value)
            else:
                os.setxattr(place, key, value, follow_symlinks=False)


def _remove(parent: int, name: bytes, path: bytes) -> None:
    """Makes room for an entry; a folder with something in it stays, and the entry fails."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            raise _in_the_way(path, error) from None


def _in_the_way(path: bytes, error: OSError) -> DiffCopyError:
    text = os.fsdecode(path)
    return DiffCopyError(f"cannot write {text}: something else is in its place ({(error.strerror or '').lower()})")
