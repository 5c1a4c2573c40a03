"""Finds the Git repository of a context by reading its files, so that a cached build starts no Git process."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from buildclient.contract.patterns import pattern
from buildclient.inputs.routing import Checkout

__all__ = ["common_folder", "find_checkout", "git_folder", "read_line", "read_settings"]

_SECTION = pattern(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_SETTING = pattern(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*=\s*(.*?)\s*\Z")
_MAX_LINES = 10_000


def find_checkout(folder: str) -> Checkout | None:
    """The repository around a folder, with the address of remote `origin` (else the first); None outside of one."""
    here = os.path.realpath(folder)
    root = here
    while not os.path.exists(os.path.join(root, ".git")):
        parent = os.path.dirname(root)
        if parent == root:
            return None
        root = parent
    settings = read_settings(os.path.join(common_folder(git_folder(os.path.join(root, ".git"))), "config"))
    remotes = {name: value for (section, name, key), value in settings.items() if (section, key) == ("remote", "url")}
    remote = remotes.get("origin") or next(iter(remotes.values()), "")
    return Checkout(_without_credentials(remote), os.path.relpath(here, root), root=root)


def git_folder(git: str) -> str:
    """The work tree's own Git folder; a linked work tree has a file in its place that leads there."""
    if os.path.isdir(git):
        return git
    return os.path.join(os.path.dirname(git), read_line(git).removeprefix("gitdir:").strip())


def common_folder(git: str) -> str:
    """The folder with what all work trees share: config and refs."""
    common = read_line(os.path.join(git, "commondir"))
    return os.path.join(git, common) if common else git


def read_settings(path: str) -> dict[tuple[str, str, str], str]:
    """(section, subsection, key) -> value, the first of each, in the file's order; empty for a file that is not."""
    found: dict[tuple[str, str, str], str] = {}
    section = name = ""
    try:
        with open(path, encoding="utf-8", errors="replace") as config:
            for _, line in zip(range(_MAX_LINES), config, strict=False):
                if head := _SECTION.match(line):
                    section, name = head.group(1).lower(), head.group(2) or ""
                    line = line[head.end() :]
                if setting := _SETTING.match(line):
                    found.setdefault((section, name, setting.group(1).lower()), setting.group(2).strip('"'))
    except OSError:
        return {}
    return found


def read_line(path: str) -> str:
    """A file's first line; empty for one that is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.readline().strip()
    except OSError:
        return ""


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
