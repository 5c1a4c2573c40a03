"""Removes what is in the way of a result, as docker buildx does; follows no symlink and crosses no mount."""

from __future__ import annotations

import contextlib
import errno
import os
from contextlib import closing

from buildclient.base.folders import Folders, reopened

__all__ = ["check_unmounted", "remove", "remove_empty"]


def remove(parent: int, name: bytes) -> None:
    """Removes an entry of the folder with this descriptor, a folder with all its content; a missing one is fine.

    Raises OSError with the path below the folder as `filename`: EBUSY for a mount point, before anything is removed.
    """
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError) as error:
        with closing(Folders(reopened(parent), b"")) as folders:
            try:
                found = _tree(folders, name)
            except NotADirectoryError:
                raise error from None
            for path in reversed(found):
                _empty(folders, path)


def remove_empty(folders: Folders, path: bytes) -> None:
    """Removes a file, or a folder that is empty; what is missing or still in use stays. Raises OSError."""
    above, _, name = path.rpartition(b"/")
    try:
        parent = folders.at(above)
        try:
            os.unlink(name, dir_fd=parent)
        except (IsADirectoryError, PermissionError):
            os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            raise


def check_unmounted(parent: int, name: bytes) -> None:
    """Checks that `remove` would meet no mount point. Raises OSError, as `remove`."""
    with closing(Folders(reopened(parent), b"")) as folders, contextlib.suppress(NotADirectoryError, FileNotFoundError):
        _tree(folders, name)


def _tree(folders: Folders, name: bytes) -> list[bytes]:
    """Returns a folder and all folders below it, parents first. Raises OSError."""
    mount = _mount(folders.root)
    found, waiting = [], [name]
    while waiting:
        path = waiting.pop()
        handle = _at(folders, path)
        if _mount(handle) != mount:
            raise OSError(errno.EBUSY, "a file system is mounted there", path)
        found.append(path)
        with os.scandir(handle) as entries:
            waiting += [
                path + b"/" + os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)
            ]
    return found


def _empty(folders: Folders, path: bytes) -> None:
    """Removes a folder that contains only files, and the files."""
    handle = _at(folders, path)
    for name in os.listdir(handle):
        try:
            os.unlink(name, dir_fd=handle)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OSError(error.errno, error.strerror, path + b"/" + os.fsencode(name)) from None
    above, _, last = path.rpartition(b"/")
    try:
        os.rmdir(last, dir_fd=folders.at(above))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _at(folders: Folders, path: bytes) -> int:
    try:
        return folders.at(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _mount(handle: int) -> bytes:
    """Returns an id of the mount, which differs even between two mounts of one file system."""
    try:
        with open(f"/proc/self/fdinfo/{handle}", "rb") as lines:
            for line in lines:
                if line.startswith(b"mnt_id:"):
                    return line
    except OSError:
        pass
    return b"%d" % os.fstat(handle).st_dev
