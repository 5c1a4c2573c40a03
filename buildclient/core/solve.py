"""The solve that one node is asked for, as plain values (`moby.buildkit.v1.SolveRequest`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["CacheEntry", "Exporter", "SolveRequest"]


class Exporter(NamedTuple):
    """`moby.buildkit.v1.Exporter`; its index in the request is its id in the session."""

    type: str
    attrs: Mapping[str, str] = {}


class CacheEntry(NamedTuple):
    """One import or export of cache."""

    type: str
    attrs: Mapping[str, str] = {}


class SolveRequest(NamedTuple):
    """What `Control.Solve` is called with."""

    ref: str
    """Unique id of the build on the daemon; `Status` and history use it."""
    frontend: str
    frontend_attrs: Mapping[str, str]
    exporters: tuple[Exporter, ...] = ()
    cache_exports: tuple[CacheEntry, ...] = ()
    cache_imports: tuple[CacheEntry, ...] = ()
    entitlements: tuple[str, ...] = ()
    shared_key: str = ""
    """Session's shared key: equal keys make context uploads incremental."""
    internal: bool = False
    """Leaves the build out of the daemon's history."""
