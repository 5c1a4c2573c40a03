"""Reads files within bounds. Writes a result beside its file and renames it: readers see the old content or all of
the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat as st
from collections.abc import Iterator

__all__ = ["MAX_SIZE", "Place", "about", "give_name", "nameless", "read_bounded", "replace_whole", "replaceable"]

MAX_SIZE = 16 << 20
"""Bytes of a file that configures something."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_STREAMS = ("/dev/", "/proc/")
"""Folders whose names are streams, even if a shell opened a regular file for one."""


@contextlib.contextmanager
def about(path: str) -> Iterator[None]:
    """Raises OSErrors of the block with this path, whichever handle or temporary name failed."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None


def read_bounded(path: str, size: int = MAX_SIZE) -> bytes:
    """A file's bytes. Raises OSError, for one with more than `size` bytes too: a device may have no end.

    It blocks as long as a named pipe has no writer.
    """
    with open(path, "rb") as source:
        data = source.read(size + 1)
    if len(data) > size:
        raise OSError(errno.EFBIG, f"it has more than {size} bytes", path)
    return data


def replaceable(path: str) -> bool:
    """Returns whether a path is a regular file or does not exist; a device or a pipe can only be written into."""
    if os.path.abspath(path).startswith(_STREAMS):
        return False
    try:
        return st.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def nameless(folder: int | str, mode: int = 0o666) -> int:
    """A handle of a new file that no folder shows, so that nothing is left of it, whatever ends the process.

    Raises OSError; where the file system has no such files as well.
    """
    if isinstance(folder, str):
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode)
    return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=folder)


def give_name(handle: int, folder: int, name: str) -> None:
    """Puts a file of `nameless` in its place, where something else may be. Raises OSError."""
    try:
        _link(handle, folder, name)
    except FileExistsError:
        beside = f".buildclient-{secrets.token_hex(8)}"
        _link(handle, folder, beside)
        _rename(beside, folder, name)


def _link(handle: int, folder: int, name: str) -> None:
    try:
        # With a folder's handle it is linkat, which goes to where the link of /proc leads.
        os.link(f"/proc/self/fd/{handle}", name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        raise
    except OSError:
        # A file system that makes such files and names none: what was built is not lost for that.
        _copy(handle, folder, name)


def _copy(handle: int, folder: int, name: str) -> None:
    at = 0
    with open(os.open(name, _CREATE, st.S_IMODE(os.fstat(handle).st_mode), dir_fd=folder), "wb") as file:
        try:
            while piece := os.pread(handle, 1 << 20, at):
                file.write(piece)
                at += len(piece)
            file.flush()
        except OSError:
            _unlink(name, folder)
            raise


def replace_whole(folder: int, name: str, data: bytes, mode: int = 0o666) -> None:
    """Writes a small file in a folder, in the place of what is there. Raises OSError."""
    try:
        handle = nameless(folder, mode)
    except OSError:
        # In a shared folder, someone could have put a symlink at a name that can be guessed.
        beside = f".buildclient-{secrets.token_hex(8)}"
        handle = os.open(beside, _CREATE, mode, dir_fd=folder)
    else:
        beside = ""
    with contextlib.ExitStack() as stack:
        if beside:
            stack.callback(_unlink, beside, folder)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            if not beside:
                give_name(handle, folder, name)
        if beside:
            _rename(beside, folder, name)


def _rename(beside: str, folder: int, name: str) -> None:
    try:
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _unlink(beside, folder)
        raise


def _unlink(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


class Place:
    """The place of a small file that is written once its text is known.

    A symlink stays and its target is replaced. The target is resolved at the start, since the build may export another
    link to the same path.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError if its folder does not exist."""
        self._path = path
        self._folder = -1
        if replaceable(path):
            target = os.path.realpath(path)
            self._name = os.path.basename(target)
            self._folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, text: str) -> None:
        """Writes a temporary file and renames it, or writes into a device or a pipe. Raises OSError."""
        if self._folder < 0:
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(text)
            return
        replace_whole(self._folder, self._name, text.encode())

    def close(self) -> None:
        """Closes the folder; may be called twice."""
        folder, self._folder = self._folder, -1
        if folder >= 0:
            os.close(folder)
