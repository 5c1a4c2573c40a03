"""The versions of daemons, where a build depends on them: remembered of the very container, else asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from buildclient.base.errors import ClientError, UnreachableError, UsageError
from buildclient.base.tasks import gather_all
from buildclient.daemon.features import lacking, refusal, used_features
from buildclient.daemon.interfaces import Control
from buildclient.nodes.placement import Placed
from buildclient.request.solve import SolveRequest

__all__ = ["VERSION_TIMEOUT", "check_features", "with_versions"]

_LOG = logging.getLogger("buildclient.nodes")
VERSION_TIMEOUT = 30.0
"""Seconds for a daemon to tell its version."""


async def with_versions(placed: Sequence[Placed]) -> list[Placed]:
    """Returns the same with each daemon's version; those that have to be asked are, at the same time.

    Raises UnreachableError.
    """
    versions = await gather_all(_version(one) for one in placed)
    return [one._replace(version=version) for one, version in zip(placed, versions, strict=True)]


async def check_features(placed: Sequence[Placed], requests: Sequence[SolveRequest]) -> None:
    """Refuses solves that a node's daemon is too old for; asks only those daemons whose solve needs something.

    Raises UsageError, UnreachableError.
    """
    needing = [(one, used) for one, request in zip(placed, requests, strict=True) if (used := used_features(request))]
    if not needing:
        return
    found = await with_versions([one for one, _ in needing])
    for one, (_, used) in zip(found, needing, strict=True):
        version = one.version or ""
        _LOG.debug("%s: BuildKit %s", one.node.node.name, version or "does not tell its version")
        if one.version is not None and (missing := lacking(used, version)):
            raise UsageError(refusal(missing, version, one.node.node.name))


async def _version(placed: Placed) -> str | None:
    """The version; None if the daemon tells no version to this user."""
    if placed.version is not None:
        return placed.version
    node = placed.node
    if (remembered := node.version) is not None:
        _LOG.debug("%s: BuildKit %s, as its container said before", node.node.name, remembered or "without a version")
        return remembered
    try:
        version = await reported_version(placed.control, asyncio.get_running_loop().time() + VERSION_TIMEOUT)
    except UnreachableError:
        raise
    except ClientError as error:
        _LOG.debug("%s: no version: %s", node.node.name, error)
        return None
    node.note_version(version)
    return version


async def reported_version(control: Control, deadline: float) -> str:
    """The version that the daemon's workers have; empty for one that is older than v0.11."""
    workers = await control.workers(deadline)
    return next((worker.buildkit_version for worker in workers if worker.buildkit_version), "")
