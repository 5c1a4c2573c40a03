"""Sends a context's `.dockerignore` along with the Dockerfile, which spares the daemon a transfer of its own.

The daemon takes a `.dockerignore` of the Dockerfile's own name from the transfer of the Dockerfile; without one it asks
the context for `.dockerignore` and waits: two round trips, three where there is such a file. So what the context has is
sent under the Dockerfile's name. A context without one gets a comment.

Reference: frontend/dockerui/config.go of BuildKit, ReadEntrypoint and dockerIgnorePatterns.
"""

from __future__ import annotations

import os
import stat as st
from collections.abc import Mapping

__all__ = ["IGNORE_FILE", "ignore_file"]

IGNORE_FILE = ".dockerignore"
_NONE = b"# there is none\n"
_MAX_SIZE = 64 << 10
"""Bytes; a larger one is left to the daemon."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW


def ignore_file(context: int, folder: int, dockerfile: str) -> Mapping[bytes, bytes]:
    """Returns the file to add to the Dockerfile's folder; none where the daemon has to look for itself.

    `context` and `folder` are handles of the context and of the Dockerfile's folder. The daemon looks for itself if the
    Dockerfile has such a file, or that of the context is a link, no file, unreadable or large.
    """
    name = os.fsencode(f"{dockerfile}{IGNORE_FILE}")
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return {}
    except FileNotFoundError:
        pass
    except OSError:
        return {}
    try:
        handle = os.open(IGNORE_FILE, _OPEN, dir_fd=context)
    except FileNotFoundError:
        return {name: _NONE}
    except OSError:
        return {}
    try:
        if not st.S_ISREG(os.fstat(handle).st_mode):
            return {}
        data = os.read(handle, _MAX_SIZE + 1)
    except OSError:
        return {}
    finally:
        os.close(handle)
    # Of an empty file the daemon says that there is none.
    return {name: data or _NONE} if len(data) <= _MAX_SIZE else {}
