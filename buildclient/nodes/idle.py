"""Stops a node on which nothing is built: decides from its daemons' records of builds, then scales it to no pods.

A build that begins in between is not lost: its pod ends it within the grace period, and the node is started again for
the next one. Clients take no pod that is stopping.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.base.units import human_duration
from buildclient.daemon.interfaces import Control
from buildclient.daemon.records import BuildRecord, build_records
from buildclient.kube.pod import Pod
from buildclient.nodes.ask import NodeAnswers, ask_pods
from buildclient.nodes.node import NodeClient

__all__ = ["Rest", "busy_reason", "stop_if_idle"]

_AGAIN = 5.0
"""Seconds for a pod that is being stopped to say whether a build has begun."""
_Records = tuple[BuildRecord, ...]


class Rest(NamedTuple):
    """What became of a node that was to stop."""

    node: str
    stopped: int = 0
    """How many pods it had; 0 if it had none, or still has them."""
    busy: str = ""
    """Why it was left running."""
    failed: str = ""
    """Why it could not be asked or scaled."""


async def stop_if_idle(node: NodeClient, seconds: float, timeout: float) -> Rest:
    """Scales the node to no pods if none of them has built anything for `seconds`.

    Each pod has `timeout` seconds to answer. Nothing is raised: what goes wrong is told in the result.
    """
    try:
        return await _stop(node, seconds, timeout)
    except UnreachableError as error:
        return Rest(node.name, failed=str(error))


async def _stop(node: NodeClient, seconds: float, timeout: float) -> Rest:
    count = await node.pods.replicas()
    if not count:
        return Rest(node.name)
    answers = await ask_pods(node, _records, timeout)
    errors = [answers.error, *(f"{one.pod.name}: {one.error}" for one in answers.pods if one.error)]
    if failed := "; ".join(filter(None, errors)):
        return Rest(node.name, failed=failed)
    if busy := busy_reason(answers, seconds, time.time()):
        return Rest(node.name, busy=busy)
    if not await node.pods.scale_from(count, 0):
        return Rest(node.name, busy="it has been scaled by another meanwhile")
    if await _began(node, [one.pod for one in answers.pods]):
        await node.pods.scale_from(0, count)
        return Rest(node.name, busy="a build has just begun: it ends in its pod, and another pod is started")
    return Rest(node.name, stopped=count)


def busy_reason(answers: NodeAnswers[_Records], seconds: float, now: float) -> str:
    """Returns why a node is not idle, `now` in seconds since the epoch; empty if it is.

    A pod that has just become ready counts as one that has just built: someone has started it.
    """
    pods = [one for one in answers.pods if not one.pod.terminating]
    if not pods:
        return "its pods are being created"
    for one in pods:
        if not one.pod.ready:
            return f"{one.pod.name} is not ready"
        running = [record.ref for record in one.answer or () if record.completed is None]
        if running:
            return f"{len(running)} builds are running in {one.pod.name}, such as {running[0]}"
    for one in pods:
        ended = max((record.completed or 0.0 for record in one.answer or ()), default=0.0)
        if now - ended < seconds:
            return f"a build has ended in {one.pod.name} {human_duration(max(0.0, now - ended))} ago"
        if now - one.pod.ready_since < seconds:
            return f"{one.pod.name} is ready since {human_duration(max(0.0, now - one.pod.ready_since))}"
    return ""


async def _records(control: Control, deadline: float) -> _Records:
    return tuple(await control.ask(build_records(), deadline))


async def _began(node: NodeClient, pods: Sequence[Pod]) -> bool:
    """Whether a build has begun in a pod since it was asked. Pods that have gone have none."""

    async def began(pod: Pod) -> bool:
        deadline = asyncio.get_running_loop().time() + _AGAIN
        try:
            async with asyncio.timeout_at(deadline):
                control = await node.connect_to(pod, deadline)
                try:
                    records = await control.ask(build_records(active_only=True), deadline)
                finally:
                    await control.close()
        except (ClientError, TimeoutError):
            return False
        return any(record.completed is None for record in records)

    return any(await asyncio.gather(*map(began, pods)))
