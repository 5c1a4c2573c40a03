"""Asks one builder how it does: pods, versions, load, cache, builds.

The one module of the builders' side that uses the client's Python API, as a program of anyone's would: a second way to
the daemons would be a second truth. Nothing is started by it: a node at rest stays at rest.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from buildclient import Builder, BuilderOutput, NodeOutput, NodeView, PodView, Where
from buildclient.base.errors import ClientError
from buildclient.nodes.tickets import Observer
from buildclient.nodes.views import status_of, wanted_pods
from buildclient.upkeep import Answers, FoundRecord, disk_usage, queue_tickets, records
from buildkit_builders.page.model import Build, Found, NodeFacts, PodFacts, Seen

if TYPE_CHECKING:
    from buildclient.daemon.storage import UsageRecord

__all__ = ["LookError", "Looker", "asked_output"]

_BUILDS = 20
"""Builds of a builder that are kept for the page."""
_PLATFORMS = 6
"""Platforms that a daemon reports, of which a node without declared ones shows so many."""


class LookError(Exception):
    """The builder could not be asked; the message says why."""


class _Cache(NamedTuple):
    size: int
    since: float | None


class Looker:
    """Asks builders, and keeps what it saw of queues for the next look: a place that nobody renews is a dead one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # A process that keeps connections is for the commands of a user (`buildclient.keep`).
        self._environ = {name: value for name, value in environ.items() if name != "BUILDCLIENT_KEEP"}
        self._observers: dict[tuple[str, str], Observer] = defaultdict(Observer)

    async def look(self, found: Found, timeout: float) -> Seen:
        """How a builder does; every pod has `timeout` seconds, and so has all of it. Raises LookError."""
        output, left_out = asked_output(found)
        if output is None:
            return Seen(time.time(), left_out)
        builder = Builder(Where(kube_context=found.kube_context), output=output, environ=self._environ)
        try:
            async with asyncio.timeout(timeout), builder.session():
                (view,), kept, (recorded, missed), (tickets, unread) = await asyncio.gather(
                    builder.ls_async(),
                    disk_usage(builder, timeout=timeout),
                    records(builder, timeout=timeout),
                    queue_tickets(builder),
                )
        except TimeoutError:
            raise LookError(f"no answer within {timeout:g} s") from None
        except ClientError as error:
            raise LookError(str(error)) from None
        if view.error:
            raise LookError(view.error)
        queues = {
            node: len(self._observers[found.id, node].live(listed, time.monotonic(), time.time()))
            for node, listed in tickets.items()
        }
        answers = _Answers(kept, recorded, queues)
        return _seen(view.nodes, answers, (*kept.missed, *missed, *unread), left_out)


def asked_output(found: Found) -> tuple[BuilderOutput | None, tuple[NodeFacts, ...]]:
    """The output with the nodes that may be asked, None without any; and those that may not, with the reason.

    Whoever may write a ConfigMap in a namespace must not reach more with the page's rights than with its own: an
    output from there counts for pods in its namespace alone, and never for an address, which might be anyone's.
    """
    if found.trusted:
        return found.output, ()
    asked, left_out = [], []
    for node in found.output.nodes:
        why = ""
        if node.address:
            why = "an address in a ConfigMap is not asked; show its stack with --project"
        elif node.namespace != found.output.namespace:
            why = "in another namespace than its ConfigMap, so it is not asked; show its stack with --project"
        if why:
            platforms = tuple(map(str, node.platforms))
            left_out.append(NodeFacts(node.name, _where(node), platforms, "not asked", wanted_pods(node), (), why))
        else:
            asked.append(node)
    return (found.output._replace(nodes=tuple(asked)) if asked else None), tuple(left_out)


class _Answers(NamedTuple):
    """What the daemons and the cluster said beside the view."""

    kept: Answers[tuple[UsageRecord, ...]]
    recorded: Sequence[FoundRecord]
    queues: Mapping[str, int]
    """By node."""


def _seen(nodes: Iterable[NodeView], answers: _Answers, missed: Iterable[str], left_out: tuple[NodeFacts, ...]) -> Seen:
    now = time.time()
    running: dict[str, int] = defaultdict(int)
    for one in answers.recorded:
        running[one.pod] += one.record.completed is None
    caches = {
        one.pod: _Cache(
            sum(max(0, record.size) for record in one.value),
            min((record.created for record in one.value if record.created is not None), default=None),
        )
        for one in answers.kept.answers
    }
    facts = tuple(_node(node, caches, running, answers.queues.get(node.name)) for node in nodes)
    builds = tuple(_build(one, now) for one in answers.recorded[:_BUILDS])
    told = {pod.error for node in facts for pod in node.pods} | {node.error for node in facts}
    problems = tuple(line for line in dict.fromkeys(missed) if not any(text and text in line for text in told))
    return Seen(now, (*facts, *left_out), builds, problems)


def _node(view: NodeView, caches: Mapping[str, _Cache], running: Mapping[str, int], queue: int | None) -> NodeFacts:
    declared = tuple(map(str, view.node.platforms))
    reported = dict.fromkeys(
        str(platform) for pod in view.pods for worker in pod.workers for platform in worker.platforms
    )
    return NodeFacts(
        view.name,
        _where(view.node),
        declared or tuple(reported)[:_PLATFORMS],
        status_of(view),
        wanted_pods(view.node),
        tuple(_pod(pod, caches.get(pod.pod.name), running) for pod in view.pods),
        view.error,
        view.node.max_parallel_builds,
        queue,
    )


def _pod(view: PodView, cache: _Cache | None, running: Mapping[str, int]) -> PodFacts:
    pod = view.pod
    state = "terminating" if pod.terminating else "ready" if pod.ready else pod.reason or pod.phase or "not ready"
    return PodFacts(
        pod.name,
        state,
        pod.kubernetes_node,
        next((worker.buildkit_version for worker in view.workers if worker.buildkit_version), ""),
        running[pod.name] if view.workers else None,
        cache.size if cache else None,
        cache.since if cache else None,
        view.error,
    )


def _where(node: NodeOutput) -> str:
    if node.address:
        return node.address
    return f"{node.workload.kind} {node.namespace}/{node.workload.name}" if node.workload else node.namespace


def _build(found: FoundRecord, now: float) -> Build:
    record = found.record
    return Build(
        record.ref,
        record.name,
        record.status,
        record.created,
        record.lasted(now),
        record.total_steps,
        record.cached_steps,
        found.node,
        found.pod,
    )
