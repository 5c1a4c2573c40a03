"""What a build is called, by the attributes that its daemon recorded. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

__all__ = ["build_name"]

_DOCKERFILE = "Dockerfile"


def build_name(attrs: Mapping[str, str]) -> str:
    """Returns what a build is called: its context, else the Dockerfile's place, with the target, else its repository.

    `BUILDKIT_BUILD_NAME`, a build argument, overrides it.
    """
    if name := attrs.get("build-arg:BUILDKIT_BUILD_NAME"):
        return name
    name = attrs.get("context", "") or _place(attrs)
    if target := attrs.get("target"):
        name = f"{name} ({target})" if name else target
    return name or attrs.get("vcs:source", "")


def _place(attrs: Mapping[str, str]) -> str:
    path = attrs.get("filename", "")
    path = "" if path == _DOCKERFILE else path
    folder = attrs.get("vcs:localdir:dockerfile", "")
    if folder not in ("", "."):
        path = posixpath.join(folder, path).rstrip("/")
    named = path != "" and posixpath.basename(path) != _DOCKERFILE and folder not in ("", ".", path)
    path = path.removesuffix(f"/{_DOCKERFILE}")
    above, _, last = path.rpartition("/")
    return posixpath.join(posixpath.basename(above), last) if named and above else last
