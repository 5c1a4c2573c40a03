"""Inspects a builder's nodes for `inspect` and `ls`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from buildclient.base.errors import UnreachableError
from buildclient.daemon.interfaces import Control
from buildclient.daemon.worker import Worker
from buildclient.nodes.ask import ask_pods
from buildclient.nodes.node import NodeClient
from buildclient.nodes.views import NodeView, PodView

__all__ = ["INSPECT_TIMEOUT", "inspect_nodes"]

INSPECT_TIMEOUT = 15.0
"""Seconds for the daemon of one pod to answer."""


async def inspect_nodes(
    nodes: Sequence[NodeClient], *, bootstrap: bool = False, timeout: float = INSPECT_TIMEOUT
) -> tuple[NodeView, ...]:
    """Returns views of the nodes; with `bootstrap`, waits for ready pods up to each node's timeout."""
    return tuple(await asyncio.gather(*(_inspected(node, bootstrap, timeout) for node in nodes)))


async def _inspected(node: NodeClient, bootstrap: bool, timeout: float) -> NodeView:
    error = await _not_ready(node) if bootstrap else ""
    answers = await ask_pods(node, _workers, timeout)
    pods = tuple(PodView(one.pod, one.answer or (), one.error) for one in answers.pods)
    error = error or answers.error
    if not error and not any(one.pod.ready for one in pods) and node.node.replicas:
        told = {one.pod.reason for one in pods}
        error = "; ".join(reason for reason in await node.reasons() if reason not in told)
    return NodeView(answers.node, pods, error)


async def _not_ready(node: NodeClient) -> str:
    """Waits for as many ready pods as the workload's replicas; returns why not all are ready."""
    deadline = asyncio.get_running_loop().time() + node.node.timeout_seconds
    try:
        await node.wait_ready(deadline, max(1, node.node.replicas))
    except UnreachableError as problem:
        return str(problem)
    return ""


async def _workers(control: Control, deadline: float) -> tuple[Worker, ...]:
    return tuple(await control.workers(deadline))
