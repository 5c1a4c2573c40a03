"""Sends the Dockerfile and what the context ignores along with the solve, which spares the daemon its questions.

docker buildx lets the daemon ask: three round trips for the Dockerfile, two or three for `.dockerignore`. Here both are
files of a frontend input named `dockerfile`, made of LLB. The daemon takes an ignore file of the Dockerfile's own name
from there, so what the context has goes under that name; a context without one gets a comment.

The folder of the Dockerfile is served in the session all the same: a frontend may ask for it, and the daemon does where
the Dockerfile is a link, large or unreadable.

Reference: frontend/dockerui of BuildKit, initContext, ReadEntrypoint and dockerIgnorePatterns.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Mapping

__all__ = ["dockerfile_input", "ignore_file"]

_IGNORE_FILE = ".dockerignore"
_NONE = b"# there is none\n"
_MAX_SIZE = 64 << 10
"""Bytes; a larger file is left to the daemon."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW


def dockerfile_input(folder: int, dockerfile: str, ignored: Mapping[bytes, bytes]) -> bytes:
    """Returns the definition (`pb.Definition`) of Dockerfile and ignore file; empty where the daemon has to ask.

    `folder` is the handle of the Dockerfile's folder, `dockerfile` its name there, `ignored` what `ignore_file` found.
    """
    try:
        dockerfile.encode()
    except UnicodeEncodeError:
        return b""
    ignore = f"{dockerfile}{_IGNORE_FILE}"
    content, patterns = _read(folder, dockerfile), ignored.get(os.fsencode(ignore)) or _read(folder, ignore)
    if not content or not patterns:
        return b""
    from buildclient.proto.llb import file_tree

    step = f"[internal] load build definition from {dockerfile}"
    return file_tree({dockerfile: content, ignore: patterns}, step)


def ignore_file(context: int, folder: int, dockerfile: str) -> Mapping[bytes, bytes]:
    """Returns the file to add to the Dockerfile's folder; none where the daemon has to look for itself.

    `context` and `folder` are handles of the context and of the Dockerfile's folder. The daemon looks for itself if the
    Dockerfile has such a file, or that of the context is a link, no file, unreadable or large.
    """
    name = os.fsencode(f"{dockerfile}{_IGNORE_FILE}")
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return {}
    except FileNotFoundError:
        pass
    except OSError:
        return {}
    data = _read(context, _IGNORE_FILE)
    # Of an empty file the daemon says that there is none.
    return {} if data is None else {name: data or _NONE}


def _read(folder: int, name: str) -> bytes | None:
    """Returns what a plain small file holds, empty if there is none; None for any other, and what cannot be read."""
    try:
        handle = os.open(name, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        return b""
    except OSError:
        return None
    try:
        if not st.S_ISREG(os.fstat(handle).st_mode):
            return None
        data = b""
        # A file system in user space may give less than is there.
        while len(data) <= _MAX_SIZE and (piece := os.read(handle, _MAX_SIZE + 1 - len(data))):
            data += piece
    except OSError:
        return None
    finally:
        os.close(handle)
    return data if len(data) <= _MAX_SIZE else None
