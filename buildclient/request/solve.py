"""The solve request for one node, as plain values (`moby.buildkit.v1.SolveRequest`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["CacheEntry", "Exporter", "SolveRequest", "push_raced", "ref_taken"]

_HIDDEN = ("token", "secret", "access_key")
"""Parts of the names of attributes that hold credentials."""


class Exporter(NamedTuple):
    """`moby.buildkit.v1.Exporter`; its index in the request is its id in the session."""

    type: str
    attrs: Mapping[str, str] = {}


class CacheEntry(NamedTuple):
    """One import or export of cache."""

    type: str
    attrs: Mapping[str, str] = {}

    def __repr__(self) -> str:
        shown = {key: "…" if any(word in key for word in _HIDDEN) else self.attrs[key] for key in self.attrs}
        return f"CacheEntry(type={self.type!r}, attrs={shown!r})"


class SolveRequest(NamedTuple):
    """The arguments of `Control.Solve`."""

    ref: str
    """Unique id of the build on the daemon; `Status` and history use it."""
    frontend: str
    frontend_attrs: Mapping[str, str]
    exporters: tuple[Exporter, ...] = ()
    cache_exports: tuple[CacheEntry, ...] = ()
    cache_imports: tuple[CacheEntry, ...] = ()
    entitlements: tuple[str, ...] = ()
    shared_key: str = ""
    """The session's shared key; equal keys make context uploads incremental."""
    source_policy: bytes = b""
    """Rules for its sources (`moby.buildkit.v1.sourcepolicy.Policy`, serialized)."""
    internal: bool = False
    """Whether the daemon keeps no record of the build."""
    frontend_inputs: Mapping[str, bytes] = {}
    """Definitions (LLB) by name that the frontend reads in place of folders of this machine."""


def push_raced(message: str) -> bool:
    """Returns whether a push may have failed because another node pushed the same layer at the same moment.

    A file-backed registry rewrites the layer link on each upload; a manifest PUT in that window fails with
    BLOB_UNKNOWN.
    """
    return "failed to push" in message and "blob unknown to registry" in message


def ref_taken(message: str, ref: str) -> bool:
    """Returns whether the daemon runs another build with this id."""
    return f"job ID {ref} exists" in message
