"""Asks the daemons in the pods of a builder, many at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from itertools import islice, zip_longest
from typing import Generic, NamedTuple, TypeVar

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.contract.output import NodeOutput
from buildclient.daemon.interfaces import Control
from buildclient.kube.pod import Owner, Pod
from buildclient.nodes.choice import usable
from buildclient.nodes.node import NodeClient

__all__ = ["ANSWER_GRACE", "Ask", "NodeAnswers", "PodAnswer", "ask_pods", "each_pod"]

_T = TypeVar("_T")
Ask = Callable[[Control, float], Awaitable[_T]]
"""Asks one daemon; the second argument is the deadline on the loop's clock. May raise ClientError."""
ANSWER_GRACE = 1.0
"""Seconds after the deadline in which a call may still end by itself, with a better message."""
_AT_ONCE = 64
"""How many pods of a node are asked at once: each is a connection to the API server and takes descriptors."""


class PodAnswer(NamedTuple, Generic[_T]):
    """The answer of the daemon in one pod."""

    pod: Pod
    answer: _T | None = None
    """None if the daemon was not asked (the pod is not ready) or did not answer."""
    error: str = ""
    """Why it could not be asked."""


class NodeAnswers(NamedTuple, Generic[_T]):
    """The answers of one node's pods; a node with an address counts as one pod of that name."""

    node: NodeOutput
    pods: tuple[PodAnswer[_T], ...] = ()
    error: str = ""
    """Why its pods could not be listed."""


async def each_pod(
    nodes: Sequence[NodeClient], ask: Ask[_T], timeout: float, *, grace: float = ANSWER_GRACE, only: str = ""
) -> tuple[NodeAnswers[_T], ...]:
    """Asks every ready pod of the nodes, or the one named `only`; each has `timeout` seconds, including to connect.

    At most 64 pods of a node are asked at once.

    Unreachable pods raise nothing: their answers hold the error.
    """
    return tuple(await asyncio.gather(*(ask_pods(node, ask, timeout, grace=grace, only=only) for node in nodes)))


async def ask_pods(
    node: NodeClient,
    ask: Ask[_T],
    timeout: float,
    *,
    grace: float = ANSWER_GRACE,
    only: str = "",
    most: int | None = None,
) -> NodeAnswers[_T]:
    """As `each_pod`, for one node; of more than `most` ready pods only as many are asked, of each workload's some."""
    try:
        pods = await node.pods.list()
    except UnreachableError as error:
        return NodeAnswers(node.node, (), str(error))
    if node.node.address:
        pods = (Pod(node.node.address, "", ready=True, terminating=False),)
    pods = [pod for pod in pods if only in ("", pod.name)]
    chosen = _some(usable(pods), most)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def answer(pod: Pod) -> PodAnswer[_T]:
        if pod not in chosen:
            return PodAnswer(pod)
        async with turns:
            return await _asked(node, pod, ask, timeout, grace)

    return NodeAnswers(node.node, tuple(await asyncio.gather(*map(answer, pods))))


def _some(pods: Sequence[Pod], most: int | None) -> Set[Pod]:
    """Returns `most` of the pods, by turns one of each owner's: while a workload rolls, some of both its versions."""
    if most is None or len(pods) <= most:
        return set(pods)
    by_owner: dict[Owner | None, list[Pod]] = {}
    for pod in pods:
        by_owner.setdefault(pod.owner, []).append(pod)
    turns = zip_longest(*by_owner.values())
    return set(islice((pod for turn in turns for pod in turn if pod), most))


async def _asked(node: NodeClient, pod: Pod, ask: Ask[_T], timeout: float, grace: float) -> PodAnswer[_T]:
    deadline = asyncio.get_running_loop().time() + timeout
    try:
        control = await node.connect_to(pod, deadline)
    except UnreachableError as error:
        return PodAnswer(pod, None, str(error))
    try:
        async with asyncio.timeout_at(deadline + grace):
            return PodAnswer(pod, await ask(control, deadline))
    except ClientError as error:
        return PodAnswer(pod, None, str(error))
    except TimeoutError:
        return PodAnswer(pod, None, f"the daemon did not answer within {timeout:g} s")
    finally:
        await control.close()
