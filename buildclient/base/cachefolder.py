"""The user's cache folder of this client: what is there only saves time, and may be deleted at any moment."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["cache_folder"]


def cache_folder(environ: Mapping[str, str]) -> str:
    """Returns the folder's path (XDG Base Directory Specification); empty where the user has no home. Makes nothing."""
    cache = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        home = environ.get("HOME") or os.path.expanduser("~")
        if not os.path.isabs(home):
            return ""
        cache = os.path.join(home, ".cache")
    return os.path.join(cache, "buildclient")
