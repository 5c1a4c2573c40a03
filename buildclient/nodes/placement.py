"""Connects the nodes that a build needs, or all nodes if only their daemons know the platforms."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.base.tasks import gather_all
from buildclient.contract.platform import Platform
from buildclient.daemon.interfaces import Control
from buildclient.nodes.interfaces import Node
from buildclient.nodes.plan import Candidate, Share, needs_reports, plan

__all__ = ["Placed", "choose_node", "place"]

_LOG = logging.getLogger("buildclient.nodes")


class Placed(NamedTuple):
    """A node's share of the build, with its daemon connected."""

    share: Share
    node: Node
    control: Control
    version: str | None = None
    """The daemon's version; None if it was not asked."""


async def place(
    nodes: Sequence[Node], platforms: Sequence[Platform], key: str, deadline: float, stack: contextlib.AsyncExitStack
) -> list[Placed]:
    """Returns which node builds what; `stack` closes the connections.

    Raises UsageError for a platform that no node builds, and UnreachableError.
    """
    opened: dict[int, Control] = {}

    async def reach(number: int) -> None:
        opened[number] = control = await nodes[number].open(key, deadline)
        stack.push_async_callback(control.close)

    shares = await _shares(nodes, platforms, reach, opened, deadline)
    await gather_all(reach(share.node) for share in shares if share.node not in opened)
    return [Placed(share, nodes[share.node], opened[share.node]) for share in shares]


async def choose_node(nodes: Sequence[Node], platforms: Sequence[Platform], key: str, deadline: float) -> Node:
    """Returns the node that builds the first of the platforms; without any, the first node.

    Raises UnreachableError if the daemons have to be asked and one does not answer.
    """
    opened: dict[int, Control] = {}
    async with contextlib.AsyncExitStack() as stack:

        async def reach(number: int) -> None:
            opened[number] = control = await nodes[number].open(key, deadline)
            stack.push_async_callback(control.close)

        shares = await _shares(nodes, platforms, reach, opened, deadline)
    return nodes[shares[0].node]


async def _shares(
    nodes: Sequence[Node],
    platforms: Sequence[Platform],
    reach: Callable[[int], Coroutine[Any, Any, None]],
    opened: Mapping[int, Control],
    deadline: float,
) -> Sequence[Share]:
    """Plans; asks the daemons for their platforms only if no node declares one of those that are wanted."""
    candidates = [Candidate(node.node.name, node.node.platforms) for node in nodes]
    if needs_reports(candidates, platforms):
        # No node declares some platform; the daemons know whether they run or emulate it.
        _LOG.debug("ask every node for its platforms: not all that are wanted are declared")
        await gather_all(reach(number) for number in range(len(nodes)))
        reports = await gather_all(_reported(opened[number], deadline) for number in range(len(nodes)))
        candidates = [one._replace(reported=report) for one, report in zip(candidates, reports, strict=True)]
    shares = plan(candidates, platforms)
    for share in shares:
        named = ", ".join(str(platform) for platform in share.platforms) or "its own platform"
        _LOG.debug("%s builds %s", nodes[share.node].node.name, named)
    return shares


async def _reported(control: Control, deadline: float) -> tuple[Platform, ...]:
    return tuple(platform for worker in await control.workers(deadline) for platform in worker.platforms)
