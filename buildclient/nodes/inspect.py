"""Inspects a builder's nodes for `inspect` and `ls`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.daemon.interfaces import Control
from buildclient.daemon.worker import Worker
from buildclient.kube.reasons import LEFT_TO_CLUSTER, STOPPED
from buildclient.nodes.ask import Ask, PodAnswer, ask_pods
from buildclient.nodes.node import NodeClient
from buildclient.nodes.views import NodeView, PodLoad, PodView

if TYPE_CHECKING:
    from buildclient.daemon.query import Query

_T = TypeVar("_T")
__all__ = ["INSPECT_TIMEOUT", "inspect_nodes"]

INSPECT_TIMEOUT = 15.0
"""Seconds for the daemon of one pod to answer."""
_FEW = 8
"""How many pods of a node are asked where only versions and platforms are wanted: those of a workload are alike."""


class _Answer(NamedTuple):
    workers: tuple[Worker, ...]
    load: PodLoad | None = None


async def inspect_nodes(
    nodes: Sequence[NodeClient], *, bootstrap: bool = False, load: bool = False, timeout: float = INSPECT_TIMEOUT
) -> tuple[NodeView, ...]:
    """Returns views of the nodes, with `load` also what each pod is busy with and keeps.

    Without `load` at most eight pods of a node are asked; what the cluster says of the others is enough.
    With `bootstrap`, waits for ready pods up to each node's timeout.
    """
    ask, most = (_all, None) if load else (_workers, _FEW)
    return tuple(await asyncio.gather(*(_inspected(node, bootstrap, ask, timeout, most) for node in nodes)))


async def _inspected(
    node: NodeClient, bootstrap: bool, ask: Ask[_Answer], timeout: float, most: int | None
) -> NodeView:
    error = await _not_ready(node) if bootstrap else ""
    answers = await ask_pods(node, ask, timeout, most=most)
    pods = tuple(_view(one) for one in answers.pods)
    error = error or answers.error
    if not error and not pods and await _rests(node):
        return NodeView(answers.node, pods, LEFT_TO_CLUSTER if node.node.cluster_starts else STOPPED)
    if not error and not any(one.pod.ready for one in pods) and node.node.replicas:
        told = {one.pod.reason for one in pods}
        error = "; ".join(reason for reason in await node.pods.reasons() if reason not in told)
    return NodeView(answers.node, pods, error)


async def _not_ready(node: NodeClient) -> str:
    """Waits for as many ready pods as the workload's replicas; returns why not all are ready."""
    deadline = asyncio.get_running_loop().time() + node.node.timeout_seconds
    try:
        await node.pods.wait_ready(deadline, max(1, node.node.replicas))
    except UnreachableError as problem:
        return str(problem)
    return ""


async def _rests(node: NodeClient) -> bool:
    """Whether a node that may have no pods is to have none."""
    if not node.node.may_rest:
        return False
    try:
        return await node.pods.replicas() == 0
    except UnreachableError:
        return False


def _view(one: PodAnswer[_Answer]) -> PodView:
    answer = one.answer or _Answer(())
    return PodView(one.pod, answer.workers, one.error, answer.load)


async def _workers(control: Control, deadline: float) -> _Answer:
    return _Answer(tuple(await control.workers(deadline)))


async def _all(control: Control, deadline: float) -> _Answer:
    from buildclient.daemon.records import build_records
    from buildclient.daemon.storage import disk_usage, totals

    async def known(query: Query[_T]) -> _T | None:
        # An older daemon may keep no records; the rest counts all the same.
        try:
            return await control.ask(query, deadline)
        except BuildFailed:
            return None

    workers, running, kept = await asyncio.gather(
        control.workers(deadline), known(build_records(active_only=True)), known(disk_usage())
    )
    builds = None if running is None else sum(one.completed is None for one in running)
    cache, free = (None, None) if kept is None else totals(kept)
    return _Answer(tuple(workers), PodLoad(builds, cache, free))
