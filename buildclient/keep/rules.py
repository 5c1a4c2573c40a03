"""Whose connections are kept, where, for how long, and what ends them.

A kept connection belongs to one user, one cluster and one identity, read from files as they are now: whatever of that
changes makes another keeper, and ends the one before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat as st
from collections.abc import Mapping, Sequence

from buildclient.base.cachefolder import cache_folder
from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted
from buildclient.base.units import parse_duration
from buildclient.contract.jsontext import read_json
from buildclient.kube.kubeconfig import Access
from buildclient.version import VERSION

__all__ = ["KEEP", "Files", "expiry", "keep_seconds", "keeper_key", "private_folder", "signature", "socket_path"]

KEEP = "BUILDCLIENT_KEEP"
MAX_KEEP = 86400.0
"""Seconds that connections may be kept without use."""
_LONGEST_PATH = 100
"""Bytes of a socket's path: 107 on Linux, 103 on macOS (`sun_path`)."""
_PASSING = (
    "BUILDCLIENT_", "BUILDKIT_PROGRESS", "COLUMNS", "KUBECONFIG", "LINES", "OLDPWD", "PWD", "SHLVL", "SSH_", "STY",
    "TERM", "TMUX", "WINDOW", "_",
)  # fmt: skip
"""Beginnings of variables that do not change who an exec plugin logs in."""

Files = tuple[tuple[str, int, int, int], ...]
"""Paths with time, inode and size; what is missing has zeros."""


def keep_seconds(environ: Mapping[str, str]) -> float:
    """Returns how long connections are kept without use; 0 for not at all, as by default and in CI.

    Raises UsageError for a variable that is no duration.
    """
    text = environ.get(KEEP, "")
    if not text or text == "0":
        return 0.0
    try:
        seconds = parse_duration(text) / 1e9
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_KEEP:
        raise UsageError(f"invalid argument {go_quoted(text)} in {KEEP} or --keep: must be like 10m, at most 24h")
    return 0.0 if _in_ci(environ) else seconds


def _in_ci(environ: Mapping[str, str]) -> bool:
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def signature(access: Access, files: Sequence[str]) -> Files:
    """Returns what the kubeconfig's files and those it names look like now."""
    named = (access.ca.file, access.certificate.file, access.key.file, access.token_file)
    return tuple(_seen(os.path.abspath(path)) for path in (*files, *filter(None, named)))


def _seen(path: str) -> tuple[str, int, int, int]:
    try:
        info = os.stat(path)
    except OSError:
        return path, 0, 0, 0
    return path, info.st_mtime_ns, info.st_ino, info.st_size


def keeper_key(access: Access, seen: Files, environ: Mapping[str, str]) -> str:
    """Returns the name of the keeper for this user, cluster, identity and version."""
    parts = [VERSION, str(os.geteuid()), access.server, access.context, access.proxy_url, repr(seen)]
    parts += [environ.get(name, "") for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")]
    if access.plugin:
        parts += sorted(f"{name}={value}" for name, value in environ.items() if not name.startswith(_PASSING))
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:24]


def socket_path(environ: Mapping[str, str], key: str) -> str:
    """Returns where the keeper listens; empty where that cannot be."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    folder = os.path.join(runtime, "buildclient") if os.path.isabs(runtime) else cache_folder(environ)
    path = os.path.join(folder, "keep", key) if folder else ""
    return path if len(os.fsencode(path)) <= _LONGEST_PATH else ""


def private_folder(path: str, *, make: bool = False) -> bool:
    """Returns whether a folder is this user's alone (mode 0700, no link); `make` makes it first."""
    try:
        if make:
            os.makedirs(path, mode=0o700, exist_ok=True)
        info = os.lstat(path)
    except OSError:
        return False
    return st.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and st.S_IMODE(info.st_mode) == 0o700


def expiry(token: str) -> float:
    """Returns when a token ends, in seconds since the epoch, if it is a JWT that says so (RFC 7519); else 0."""
    parts = token.split(".")
    if len(parts) != 3:
        return 0.0
    try:
        value = read_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return 0.0
    ends = value.get("exp") if isinstance(value, dict) else None
    return float(ends) if isinstance(ends, int | float) and not isinstance(ends, bool) else 0.0
