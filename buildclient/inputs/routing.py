"""The key that leads a build to the pod with its cache: the same for every checkout of the same project.

Not the absolute path (which docker buildx takes): CI runners check out anywhere and should land on one warm cache.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from buildclient.contract.platform import Platform, format_platforms

__all__ = ["Checkout", "routing_key"]


class Checkout(NamedTuple):
    """The Git repository that a context lies in."""

    remote: str
    """URL without credentials; empty when there is none."""
    path: str
    """The context's path in the repository, `.` at its root."""
    revision: str = ""
    root: str = ""
    """The work tree's folder."""


def routing_key(
    context: str, checkout: Checkout | None, dockerfile: str, target: str, platforms: Sequence[Platform]
) -> str:
    """A key of remote and path, or of the context's base name; then Dockerfile, target and platforms."""
    if checkout and checkout.remote:
        where = f"{checkout.remote}#{checkout.path}"
    else:
        where = posixpath.basename(context.rstrip("/")) or context
    return "\n".join([where, posixpath.basename(dockerfile) or "Dockerfile", target, format_platforms(platforms)])
