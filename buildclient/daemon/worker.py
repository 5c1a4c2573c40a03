"""One worker of a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildclient.contract.platform import Platform

__all__ = ["Worker"]


class Worker(NamedTuple):
    """A daemon's version and workers (`Control.Info`, `ListWorkers`)."""

    id: str
    labels: Mapping[str, str]
    platforms: tuple[Platform, ...]
    """In the daemon's order: the native one first."""
    buildkit_version: str = ""
    gc_policies: tuple[Mapping[str, object], ...] = ()
    devices: tuple[str, ...] = ()
