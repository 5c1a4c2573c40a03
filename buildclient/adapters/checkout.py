"""The Git repository a context lies in, read from its files: no Git program is started for a cached build."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from buildclient.core.routing import Checkout

__all__ = ["find_checkout"]

_SECTION = re.compile(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_URL = re.compile(r"\s*url\s*=\s*(.*?)\s*\Z")


def find_checkout(folder: str) -> Checkout | None:
    """The repository around a folder, with the address of remote `origin` (else the first); None outside of one."""
    here = os.path.realpath(folder)
    root = here
    while not os.path.exists(os.path.join(root, ".git")):
        parent = os.path.dirname(root)
        if parent == root:
            return None
        root = parent
    remotes = _remotes(os.path.join(_common_folder(os.path.join(root, ".git")), "config"))
    remote = remotes.get("origin") or next(iter(remotes.values()), "")
    return Checkout(_without_credentials(remote), os.path.relpath(here, root), root=root)


def _common_folder(git: str) -> str:
    """The folder with the repository's config; a linked work tree has a file in its place that leads there."""
    if os.path.isdir(git):
        return git
    named = _line(git).removeprefix("gitdir:").strip()
    folder = os.path.join(os.path.dirname(git), named)
    common = _line(os.path.join(folder, "commondir"))
    return os.path.join(folder, common) if common else folder


def _remotes(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    try:
        with open(path, encoding="utf-8", errors="replace") as config:
            for line in config:
                if section := _SECTION.match(line):
                    name = section.group(2) or "" if section.group(1).lower() == "remote" else ""
                elif name and (url := _URL.match(line)):
                    found.setdefault(name, url.group(1).strip('"'))
    except OSError:
        return {}
    return found


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.readline().strip()
    except OSError:
        return ""
