"""How a result is put into its file: beside and renamed, so that readers see all of it or what was there before."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat as st
from collections.abc import Iterator

__all__ = ["about", "replaceable", "write_whole"]

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


def write_whole(path: str, text: str) -> None:
    """Writes a small file; a link stays, and what it leads to is replaced. Raises OSError."""
    if not replaceable(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    target = os.path.realpath(path)
    # In a folder that others may write into, a name that can be guessed could be a link of theirs.
    beside = os.path.join(os.path.dirname(target), f".buildclient-{secrets.token_hex(8)}")
    handle = os.open(beside, _CREATE, 0o666)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
