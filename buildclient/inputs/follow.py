"""Follows the links of a context: a path that a Dockerfile copies may lead through symlinks to others.

Resolved against the unfiltered tree, as fsutil does (followlinks.go): wildcards match names of one folder, a link
with an absolute target starts again at the context's root, and nothing leaves the context.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable

from buildclient.base.folders import Folders
from buildclient.inputs.globs import PatternError, glob_match

__all__ = ["follow_paths", "with_followed"]

_LIMIT = 10_000
"""Resolved paths; a tree of links that needs more is a loop of wildcards."""


def with_followed(folders: Folders, includes: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Include patterns for given ones and followed paths; empty means that everything is included.

    What is left out as lying below another depends on the order, as in fsutil.
    """
    targets = follow_paths(folders, paths)
    return _without_nested([*includes, *targets]) if targets else list(includes)


def follow_paths(folders: Folders, paths: Iterable[str]) -> list[str]:
    """The paths and every path that links on the way lead to; empty when one is the root itself."""
    resolver = _Resolver(folders)
    for path in paths:
        resolver.add(path)
    return _without_nested(sorted(resolver.resolved))


class _Resolver:
    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.resolved: set[str] = set()

    def add(self, path: str) -> None:
        waiting = [path]
        while waiting and len(self.resolved) < _LIMIT:
            waiting.extend(self._one(_join(".", waiting.pop())))

    def _one(self, path: str) -> list[str]:
        """Walks down a path to its first link; gives where that leads, with the rest of the path behind."""
        current, rest = ".", path
        while True:
            name, _, rest = rest.partition("/")
            current = _join(current, name)
            targets = self._targets(current)
            if rest and targets is None:
                continue
            if current in self.resolved:
                return []
            self.resolved.add(current)
            return [_join(target, rest) for target in targets or ()]

    def _targets(self, path: str) -> list[str] | None:
        """Returns where a name (or every name that a wildcard matches) leads if it is a symlink, else None."""
        folder, name = posixpath.split(path)
        if _has_wildcard(name):
            found: list[str] = []
            try:
                names = sorted(map(os.fsencode, os.listdir(self._folders.at(_raw(folder)))))
            except (OSError, ValueError):
                return None
            for entry in names:
                text = _text(entry)
                if _matches(name, text):
                    found.extend(self._link(_join(folder, text)) or ())
            return found or None
        return self._link(path)

    def _link(self, path: str) -> list[str] | None:
        if path in (".", "/"):
            return None
        try:
            folder, name = posixpath.split(path)
            target = _text(os.readlink(_raw(name), dir_fd=self._folders.at(_raw(folder))))
        except (OSError, ValueError):
            return None
        target = posixpath.normpath(target)
        if target.startswith("/"):
            return [target]
        return [_join("/", posixpath.join(posixpath.dirname(path), target))]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    """A resolved path below the root, as bytes; what has no bytes (a lone surrogate) is nowhere."""
    return text.strip("/").encode("utf-8", "surrogateescape")


def _matches(pattern: str, name: str) -> bool:
    try:
        return glob_match(pattern, name)
    except PatternError:
        return False


def _has_wildcard(name: str) -> bool:
    escaped = False
    for char in name:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in "*?[":
            return True
    return False


def _join(first: str, rest: str) -> str:
    """Go's filepath.Join: an absolute second part is taken as relative to the first."""
    joined = posixpath.normpath("/".join(part for part in (first, rest) if part) or ".")
    return joined[1:] if joined.startswith("//") else joined


def _without_nested(paths: list[str]) -> list[str]:
    """Leaves out what lies below another; empty if the root is among them, which means no filter."""
    found: list[str] = []
    last = ""
    for path in paths:
        if path == ".":
            return []
        if path.startswith(last + "/"):
            continue
        found.append(path)
        last = path
    return found
