"""Which texts are remote contexts, and which of them have a query (`?ref=main&subdir=app`). Pure.

Reference: IsRemoteURL and processGitURL of buildx 0.38, util/gitutil and frontend/dockerfile/dfgitutil of BuildKit.
"""

from __future__ import annotations

import re

from buildclient.contract.patterns import pattern

__all__ = ["has_query", "is_remote"]

_SCHEME = pattern(r"([A-Za-z0-9]+)://([^?#]*)(?:\?([^#]*))?")
_SCHEMES = frozenset(("http", "https", "ssh", "git"))
_SCP = pattern(r"([A-Za-z0-9_-]+)@[A-Za-z0-9.-]+:([^?#]*)(?:\?([^#]*))?")
_PLAIN = ("http://", "https://", "github.com/")


def is_remote(text: str) -> bool:
    """Returns whether the daemon fetches a context: an HTTP URL, or a Git repository in any of Git's forms.

    is_remote("git@github.com:moby/buildkit.git#main:docs")
    """
    if text.startswith(_PLAIN):
        return True
    match = _parsed(text)
    # A scheme in other letters is Git's alone.
    return match is not None and (not match.group(1).lower().startswith("http") or match.group(2).endswith(".git"))


def has_query(text: str) -> bool:
    """Returns whether a remote context has a query, which a frontend has to know of."""
    match = _parsed(text)
    return match is not None and any((match.group(3) or "").split("&"))


def _parsed(text: str) -> re.Match[str] | None:
    if match := _SCHEME.match(text):
        return match if match.group(1).lower() in _SCHEMES else None
    return _SCP.match(text)
