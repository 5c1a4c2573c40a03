"""Collects what docker buildx tells BuildKit about a context's Git repository, for provenance and labels.

Read from the repository's files, so that no Git program is started for a cached build (BUILDX_GIT_CHECK_DIRTY
excepted, which needs one). Reference: build/git.go and util/gitutil of buildx 0.38.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

from buildclient.base.errors import Cancelled
from buildclient.base.gotext import is_bool, parse_bool
from buildclient.contract.patterns import pattern
from buildclient.inputs.checkout import common_folder, git_folder, read_line, read_settings

__all__ = ["vcs_attrs"]

_HASH = pattern(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MASK = "xxxxx"
_MAX_LINKS = 5
"""Symbolic refs followed from HEAD, as Git does."""
_LABEL = "label:org.opencontainers.image."
_ENTRYPOINT = "label:com.docker.image.source.entrypoint"
_EVERY, _LONGEST = 0.1, 60.0
"""Seconds between two looks at whether the build still wants what Git looks for, and for Git altogether."""


def vcs_attrs(
    context: str,
    dockerfile: str,
    folders: Mapping[str, str],
    environ: Mapping[str, str],
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Frontend attributes for a local context; `folders` are those that the daemon may read, by name.

    Empty outside of a work tree, or where BUILDX_GIT_INFO and BUILDX_GIT_LABELS switch both kinds off. `stopped` is
    asked while Git is waited for. Raises Cancelled once it says True.
    """
    labels = environ.get("BUILDX_GIT_LABELS", "")
    with_labels = labels == "full" or parse_bool(labels)
    info = environ.get("BUILDX_GIT_INFO", "")
    with_info = parse_bool(info) if is_bool(info) else True
    root = _root(os.path.realpath(context)) if with_labels or with_info else ""
    if not root:
        return {}
    git = git_folder(os.path.join(root, ".git"))
    found = {}
    if revision := _revision(git):
        if parse_bool(environ.get("BUILDX_GIT_CHECK_DIRTY", "")) and _dirty(root, stopped):
            revision += "-dirty"
        found["revision"] = revision
    if source := _source(git):
        found["source"] = source
    attrs = {f"vcs:{name}": value for name, value in found.items()} if with_info else {}
    if with_labels:
        attrs.update({f"{_LABEL}{name}": value for name, value in found.items()})
        path = os.path.abspath(dockerfile or os.path.join(context, "Dockerfile"))
        if inside := _inside(root, path):
            attrs[_ENTRYPOINT] = inside
    if with_info:
        paths = {name: _inside(root, os.path.realpath(folder)) for name, folder in folders.items()}
        attrs.update({f"vcs:localdir:{name}": path for name, path in paths.items() if path})
    return attrs


def _root(folder: str) -> str:
    """The work tree around a folder; empty where there is none."""
    while not os.path.exists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent
    return folder


def _inside(root: str, path: str) -> str:
    relative = os.path.relpath(path, root)
    return "" if relative.startswith("..") else relative


def _branch(git: str) -> str:
    """The ref that HEAD names; empty when it is detached."""
    line = read_line(os.path.join(git, "HEAD"))
    return line.removeprefix("ref:").strip() if line.startswith("ref:") else ""


def _revision(git: str) -> str:
    """HEAD's commit; empty before the first one."""
    common, name = common_folder(git), "HEAD"
    for _ in range(_MAX_LINKS):
        line = read_line(os.path.join(git, name)) or read_line(os.path.join(common, name))
        if line.startswith("ref:"):
            name = line.removeprefix("ref:").strip()
        elif _HASH.fullmatch(line):
            return line
        else:
            return _packed(common, name)
    return ""


def _packed(common: str, name: str) -> str:
    try:
        with open(os.path.join(common, "packed-refs"), encoding="utf-8", errors="replace") as refs:
            for line in refs:
                value, _, ref = line.strip().partition(" ")
                if ref == name and _HASH.fullmatch(value):
                    return value
    except OSError:
        return ""
    return ""


def _source(git: str) -> str:
    """The address of the branch's remote, else of `origin`, else of `upstream`; without credentials."""
    settings = read_settings(os.path.join(common_folder(git), "config"))
    branch = _branch(git).removeprefix("refs/heads/")
    for remote in (settings.get(("branch", branch, "remote"), ""), "origin", "upstream"):
        if remote and (url := settings.get(("remote", remote, "url"))):
            return _redacted(url)
    return ""


def _redacted(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    masked = f"{_MASK if name else ''}:{_MASK}" if colon else _MASK
    return urlunsplit(parts._replace(netloc=f"{masked}@{host}"))


def _dirty(root: str, stopped: Callable[[], bool]) -> bool:
    import subprocess

    command = ["git", "-C", root, "status", "--porcelain", "--ignored"]
    # Without its optional lock, which a Git that is killed would leave behind.
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    deadline = time.monotonic() + _LONGEST
    try:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return True
    with process:
        try:
            while time.monotonic() < deadline:
                if stopped():
                    raise Cancelled("Git is no longer waited for")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=_EVERY)
                    return process.returncode != 0 or bool(output.strip())
            return True
        finally:
            process.kill()
