"""How a result is put into its file: beside and renamed, so that readers see all of it or what was there before."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat as st
from collections.abc import Iterator

__all__ = ["Place", "about", "replaceable"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_STREAMS = ("/dev/", "/proc/")
"""Where names lead to streams, even if a shell has opened a regular file for one."""


@contextlib.contextmanager
def about(path: str) -> Iterator[None]:
    """What the system refuses is about this path, whichever handle or name beside it was at hand."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None


def replaceable(path: str) -> bool:
    """Whether a path is a file of its own, or nothing yet; a device or a pipe can only be written into."""
    if os.path.abspath(path).startswith(_STREAMS):
        return False
    try:
        return st.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


class Place:
    """Where a small file is to be written once its text is known.

    A link stays, and what it leads to is replaced: the one that was there in the beginning, and in the folder that it
    led to then. What a build exports meanwhile may have put another in its place.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no folder for it."""
        self._path = path
        self._folder = -1
        if replaceable(path):
            target = os.path.realpath(path)
            self._name = os.path.basename(target)
            self._folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, text: str) -> None:
        """Writes it beside and renames it, or into what is a device or a pipe. Raises OSError."""
        if self._folder < 0:
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(text)
            return
        # In a folder that others may write into, a name that can be guessed could be a link of theirs.
        beside = f".buildclient-{secrets.token_hex(8)}"
        handle = os.open(beside, _CREATE, 0o666, dir_fd=self._folder)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(beside, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=self._folder)
            raise

    def close(self) -> None:
        """Lets go of the folder; may be called twice."""
        folder, self._folder = self._folder, -1
        if folder >= 0:
            os.close(folder)
