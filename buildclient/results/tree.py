"""Writes an exported tree into a folder, and never outside of it, whatever the daemon sends.

Every step down uses a folder's descriptor and follows no symlink, so neither `..` nor a link, old or new, leads out.
A file is written beside its place and renamed once it is complete: after a failed build each file is either the old one
or complete. Hard links are made last, since their targets may arrive late.

As with docker buildx, an entry replaces whatever has its name, even a folder with all its content, unless another file
system is mounted in it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat as st
from collections.abc import Callable, Iterator

from buildclient.base.errors import Cancelled
from buildclient.base.folders import DIRECTORY, Folders, PlannedFolder
from buildclient.base.oserrors import reason
from buildclient.results.removal import remove
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

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A destination folder; files in it stay unless an entry of the same name arrives."""

    def __init__(self, folder: str, note: Callable[[Stat], None] | None = None, *, whole: bool = False) -> None:
        """Opens the folder, or its nearest existing parent, so that nothing exported meanwhile redirects it.

        `note` is told each entry before it is made, and may raise DiffCopyError. Raises OSError.
        """
        self.folder = folder
        self.note = note
        self.whole = whole
        """Whether each stream must hold all platforms of its node."""
        self.complete = False
        """Whether a stream has ended."""
        self.made: set[bytes] = set()
        """Paths of entries that were not there before."""
        self.ended = False
        self._planned = PlannedFolder(folder, 0o700)

    def open(self) -> _TreeWriter:
        """Returns a writer for one stream. Raises OSError if the folder cannot be made."""
        return _TreeWriter(self, self.folders())

    def end(self) -> None:
        """Takes nothing more: the solve has ended."""
        self.ended = True

    def folders(self) -> Folders:
        """Returns the folder, made if it is missing; the caller closes it. Raises OSError."""
        return Folders(self._planned.open(), os.fsencode(self.folder))

    def close(self) -> None:
        """Closes the folder; may be called twice."""
        self._planned.close()


class _TreeWriter:
    def __init__(self, tree: Tree, folders: Folders) -> None:
        self._tree = tree
        self._folders = folders
        self._mark = secrets.token_hex(6)
        self._position = -1
        self._wanted: dict[int, Stat] = {}
        self._files: dict[int, int] = {}
        self._links: list[Stat] = []
        self._made: list[tuple[Stat, int]] = []
        """Folders, and the mode that each gets if the stream breaks off."""

    def entry(self, stat: Stat) -> bool:
        """Makes one entry, or notes it for later; returns whether it needs its content."""
        self._position += 1
        self._go_on()
        if self._tree.note:
            self._tree.note(stat)
        self._remember(stat.path)
        kind = stat.mode & GO_TYPE
        if kind == GO_DIR:
            with self._placing(stat.path) as (parent, name):
                self._made.append((stat, _make_folder(parent, name, unix_mode(stat.mode))))
        elif kind:
            with self._placing(stat.path) as (parent, name):
                _make_special(parent, name, stat)
        elif stat.linkname:
            self._links.append(stat)
        else:
            # Refuse an invalid path before asking for its content.
            with self._placing(stat.path):
                self._wanted[self._position] = stat
            return True
        return False

    def data(self, file: int, data: bytes) -> None:
        """Writes content; empty data ends the file and renames it into place."""
        stat = self._wanted[file]
        self._go_on()
        with self._placing(stat.path) as (parent, name):
            if file not in self._files:
                self._files[file] = os.open(self._beside(file), _CREATE, 0o600, dir_fd=parent)
            handle = self._files[file]
            if data:
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
                return
            _apply_metadata(handle, stat)
            try:
                os.rename(self._beside(file), name, src_dir_fd=parent, dst_dir_fd=parent)
            except IsADirectoryError:
                remove(parent, name)
                os.rename(self._beside(file), name, src_dir_fd=parent, dst_dir_fd=parent)
            os.close(self._files.pop(file))
            del self._wanted[file]

    def finish(self) -> None:
        """Makes hard links, sets the folders' modes and times, which writing into them changed, and closes all."""
        for stat in self._links:
            with self._placing(stat.linkname) as (parent, source_name):
                # The next look-up may close this descriptor.
                source = os.dup(parent)
            try:
                with self._placing(stat.path) as (parent, name):
                    remove(parent, name)
                    os.link(source_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(source)
        while self._made:
            stat, _ = self._made[-1]
            with self._placing(stat.path), _opened(self._folders, stat.path) as handle:
                _apply_metadata(handle, stat)
            self._made.pop()
        self.close()
        self._tree.complete = True

    def close(self) -> None:
        """Removes what is incomplete and closes everything; may be called twice."""
        for file, handle in self._files.items():
            os.close(handle)
            with contextlib.suppress(OSError, DiffCopyError):
                os.unlink(self._beside(file), dir_fd=self._parent(self._wanted[file].path)[0])
        self._files.clear()
        while self._made:
            stat, mode = self._made.pop()
            with contextlib.suppress(OSError), _opened(self._folders, stat.path) as handle:
                os.fchmod(handle, mode)
        self._folders.close()

    def _go_on(self) -> None:
        if self._tree.ended:
            raise Cancelled("the daemon was lost")

    def _remember(self, path: bytes) -> None:
        """Notes whether the entry is new: what only a broken tree made has to go if the next one is without it."""
        with self._placing(path) as (parent, name):
            try:
                os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                self._tree.made.add(path)

    def _beside(self, file: int) -> str:
        return f".buildclient-{self._mark}-{file}"

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """Returns the descriptor of a path's parent folder, valid until the next call, and the path's last name.

        Raises DiffCopyError for a path that is not clean, or whose parent is not a folder.
        """
        folder, _, name = path.rpartition(b"/")
        parts = folder.split(b"/") if folder else []
        if path.startswith(b"/") or any(part in (b"", b".", b"..") or b"\0" in part for part in (*parts, name)):
            raise DiffCopyError(f"the daemon sent the path {path!r}, which is not inside the export")
        try:
            return self._folders.at(folder), name
        except (NotADirectoryError, FileNotFoundError) as error:
            shown = self._folders.path(path)
            raise DiffCopyError(f"write {shown}: {os.fsdecode(folder)} is not a folder ({reason(error)})") from None

    @contextlib.contextmanager
    def _placing(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """As `_parent`; an OSError raised in the block gets the whole path."""
        parent, name = self._parent(path)
        try:
            yield parent, name
        except OSError as error:
            above = path[: len(path) - len(name)]
            # `remove` reports which path failed.
            below = error.filename if isinstance(error.filename, bytes) and error.filename.startswith(name) else name
            raise OSError(error.errno, error.strerror, self._folders.path(above + below)) from None


@contextlib.contextmanager
def _opened(folders: Folders, path: bytes) -> Iterator[int]:
    above, _, name = path.rpartition(b"/")
    handle = os.open(name, DIRECTORY, dir_fd=folders.at(above))
    try:
        yield handle
    finally:
        os.close(handle)


def _make_folder(parent: int, name: bytes, mode: int) -> int:
    """Makes a folder, or makes an existing one writable while the stream lasts. Returns the mode to set if the stream
    breaks off: the folder's own, or `mode` for a new one.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        before = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if st.S_ISDIR(before):
            if before & 0o700 != 0o700:
                _set_mode(parent, name, st.S_IFDIR, st.S_IMODE(before) | 0o700)
            return st.S_IMODE(before)
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)
    return mode


def _make_special(parent: int, name: bytes, stat: Stat) -> None:
    """Makes a symlink, a device or a pipe. Raises DiffCopyError for any other type."""
    kind = stat.mode & GO_TYPE
    if kind not in (GO_SYMLINK, GO_FIFO, GO_DEVICE, GO_DEVICE | GO_CHAR):
        raise DiffCopyError(f"the daemon sent {stat.path!r} of a kind that cannot be written ({kind:#x})")
    remove(parent, name)
    if kind == GO_SYMLINK:
        os.symlink(stat.linkname, name, dir_fd=parent)
    else:
        type_ = st.S_IFIFO if kind == GO_FIFO else st.S_IFCHR if kind & GO_CHAR else st.S_IFBLK
        os.mknod(name, type_ | 0o600, os.makedev(stat.devmajor, stat.devminor), dir_fd=parent)
        _set_mode(parent, name, type_, unix_mode(stat.mode))
    _set_xattrs(b"/proc/self/fd/%d/%s" % (parent, name), stat)
    os.utime(name, ns=(stat.mtime, stat.mtime), dir_fd=parent, follow_symlinks=False)


def _set_mode(parent: int, name: bytes, type_: int, mode: int) -> None:
    """Sets the mode of an entry just made; follows no symlink that another stream may have put in its place."""
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
        # Not every file system and user may set them; fsutil ignores that too.
        with contextlib.suppress(OSError):
            if isinstance(place, int):
                os.setxattr(place, key, value)
            else:
                os.setxattr(place, key, value, follow_symlinks=False)
