"""Looks after a builder: what its pods keep, removing it, and the records of builds.

    builder = Builder(Where(stack="dev"))
    for found in (await disk_usage(builder)).answers:
        print(found.pod, sum(record.size for record in found.value))

Every function asks all pods of the builder at once, or those of one node or one pod (`Pick`). Whoever cannot be asked
is named in `missed`, and the others' answers count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from buildclient.base.errors import ClientError, ConfigurationError, UsageError
from buildclient.daemon.filters import CacheFilter

if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.daemon.query import Query
    from buildclient.daemon.records import BuildRecord
    from buildclient.daemon.storage import Pruning, UsageRecord
    from buildclient.kube.lease import Ticket
    from buildclient.nodes.ask import NodeAnswers
    from buildclient.nodes.idle import Rest
    from buildclient.nodes.node import NodeClient
    from buildclient.progress.events import EventSink

__all__ = [
    "EVERY_POD",
    "TIMEOUT",
    "Answer",
    "Answers",
    "FoundRecord",
    "Pick",
    "ask",
    "disk_usage",
    "find_record",
    "prune",
    "queue_tickets",
    "records",
    "remove_records",
    "replay_record",
    "stop",
    "stop_if_idle",
]

_T = TypeVar("_T")
TIMEOUT = 20.0
"""Seconds for a pod to answer."""
PRUNE_TIMEOUT = 3600.0
"""Seconds for a pod to remove what it was told to."""
_HOUR = 3600.0


class Pick(NamedTuple):
    """Which pods of a builder are meant; empty for all."""

    node: str = ""
    pod: str = ""


EVERY_POD = Pick()
_EVERY_RECORD = CacheFilter()


class Answer(NamedTuple, Generic[_T]):
    """The answer of one pod."""

    node: str
    pod: str
    """The pod's name, or a node's address."""
    value: _T


class Answers(NamedTuple, Generic[_T]):
    """The answers of the pods that could be asked."""

    answers: tuple[Answer[_T], ...]
    missed: tuple[str, ...]
    """Of each pod or node that could not be asked: its name and why."""


class FoundRecord(NamedTuple):
    """A build's record, and where it is kept."""

    node: str
    pod: str
    record: BuildRecord


async def ask(builder: Builder, query: Query[_T], pick: Pick = EVERY_POD, timeout: float = TIMEOUT) -> Answers[_T]:
    """Asks the daemons; each pod has `timeout` seconds. Raises UsageError if there is no such node or pod."""
    from buildclient.nodes.ask import each_pod

    nodes = await _nodes(builder, pick.node)
    found = await each_pod(nodes, lambda control, deadline: control.ask(query, deadline), timeout, only=pick.pod)
    return _collected(found, pick)


async def _nodes(builder: Builder, name: str) -> Sequence[NodeClient]:
    output = await builder.output_async()
    nodes = builder.nodes_of(output)
    picked = [one for one in nodes if name in ("", one.name)]
    if not picked:
        known = ", ".join(one.name for one in nodes)
        raise UsageError(f"builder {output.name} has no node {name}; it has {known}")
    return picked


def _collected(found: Sequence[NodeAnswers[_T]], pick: Pick) -> Answers[_T]:
    answers, missed = [], []
    for node in found:
        if node.error:
            missed.append(f"{node.node.name}: {node.error}")
        for one in node.pods:
            if one.error:
                missed.append(f"{one.pod.name}: {one.error}")
            elif one.pod.ready and not one.pod.terminating:
                # A query may answer None.
                answers.append(Answer(node.node.name, one.pod.name, one.answer))
            elif pick.pod:
                missed.append(f"{one.pod.name}: {one.pod.reason or 'not ready'}")
    if pick.pod and not answers and not missed:
        raise UsageError(f"there is no pod {pick.pod}; `buildclient inspect` lists the builder's pods")
    return Answers(tuple(answers), tuple(missed))  # type: ignore[arg-type]


async def disk_usage(
    builder: Builder,
    filters: CacheFilter = _EVERY_RECORD,
    pick: Pick = EVERY_POD,
    timeout: float = TIMEOUT,
) -> Answers[tuple[UsageRecord, ...]]:
    """Returns the records of every pod's build cache. Raises a subclass of ClientError."""
    from buildclient.daemon.storage import disk_usage as query

    return await ask(builder, query((filters.text,)), pick, timeout)


async def prune(
    builder: Builder,
    wanted: Pruning,
    removed: Callable[[UsageRecord], None],
    pick: Pick = EVERY_POD,
    timeout: float = PRUNE_TIMEOUT,
) -> Answers[int]:
    """Removes records of every pod's build cache; `removed` is called with each. Answers are the bytes that went."""
    from buildclient.daemon.storage import prune as query

    return await ask(builder, query(wanted, removed), pick, timeout)


async def records(
    builder: Builder,
    ref: str = "",
    pick: Pick = EVERY_POD,
    *,
    active_only: bool = False,
    timeout: float = TIMEOUT,
) -> tuple[list[FoundRecord], tuple[str, ...]]:
    """Returns the records of all builds, running ones first, then the latest; and who could not be asked."""
    from buildclient.daemon.records import build_records

    found = await ask(builder, build_records(ref, active_only=active_only), pick, timeout)
    listed = [FoundRecord(one.node, one.pod, record) for one in found.answers for record in one.value]
    listed.sort(key=lambda one: (one.record.completed is not None, -one.record.created))
    return listed, found.missed


async def queue_tickets(builder: Builder) -> tuple[dict[str, Sequence[Ticket]], tuple[str, ...]]:
    """Returns the places in the queue of each node that has a limit of builds, by node; and who could not be asked.

    Places of clients that have died are among them (`buildclient.nodes.tickets`).
    """
    nodes = [one for one in await _nodes(builder, "") if one.node.workload and one.node.max_parallel_builds]
    answers = await asyncio.gather(*(one.pods.tickets() for one in nodes), return_exceptions=True)
    found, missed = {}, []
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, ClientError):
            missed.append(f"{node.name}: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[node.name] = answer
    return found, tuple(missed)


async def find_record(builder: Builder, ref: str, pick: Pick = EVERY_POD, timeout: float = TIMEOUT) -> FoundRecord:
    """Returns the record of a build. Raises UsageError if there is none or several, and UnreachableError.

    `ref` is a build's id or its unique beginning, also as `BUILDER/NODE/ID`; `^N` the build N before the latest; empty
    the latest one. Of the parts of a build on several nodes, the one that failed, else the first.
    """
    wanted = ref.rpartition("/")[2]
    listed, missed = await records(builder, "", pick, timeout=timeout)
    listed.sort(key=lambda one: -one.record.created)
    refs = list(dict.fromkeys(one.record.ref for one in listed))
    if not refs and missed:
        raise ConfigurationError("; ".join(missed))
    if wanted.startswith("^"):
        chosen = [_offset(wanted, refs)]
    elif wanted:
        chosen = [one for one in refs if one == wanted] or [one for one in refs if one.startswith(wanted)]
    else:
        chosen = refs[:1]
    if not chosen:
        raise UsageError(f'no record found for ref "{ref}"' if ref else "no records found")
    if len(chosen) > 1:
        raise UsageError(f'"{ref}" begins the ids of {len(chosen)} builds: {", ".join(chosen[:3])}…')
    parts = [one for one in listed if one.record.ref == chosen[0]]
    return min(parts, key=lambda one: (one.record.status != "Error", one.node, one.pod))


def _offset(text: str, refs: Sequence[str]) -> str:
    if not text[1:].isdecimal() or len(text) > 10:
        raise UsageError(f'invalid offset "{text}"')
    if int(text[1:]) >= len(refs):
        raise UsageError(f"no completed build found with offset {text[1:]}")
    return refs[int(text[1:])]


async def remove_records(
    builder: Builder, refs: Sequence[str], pick: Pick = EVERY_POD
) -> tuple[list[str], tuple[str, ...]]:
    """Removes the records of builds, all ended ones if `refs` is empty; returns the ids, and who could not be asked.

    Raises UsageError for a build of which no pod has a record; nothing is removed then.
    """
    listed, missed = await records(builder, "", pick)
    if refs:
        wanted = {(await _of(listed, ref)) for ref in refs}
        chosen = [one for one in listed if one.record.ref in wanted]
    else:
        chosen = [one for one in listed if one.record.completed is not None]
    problems = list(missed)
    from buildclient.daemon.records import remove_record

    for one in chosen:
        try:
            done = await ask(builder, remove_record(one.record.ref), Pick(one.node, one.pod))
            problems += done.missed
        except ClientError as error:
            problems.append(f"{one.pod}: {error}")
    return list(dict.fromkeys(one.record.ref for one in chosen)), tuple(problems)


async def _of(listed: Sequence[FoundRecord], ref: str) -> str:
    wanted = ref.rpartition("/")[2]
    for one in listed:
        if one.record.ref == wanted:
            return wanted
    raise UsageError(f'no record found for ref "{ref}"')


async def replay_record(builder: Builder, found: FoundRecord, sink: EventSink) -> tuple[str, ...]:
    """Calls `sink` with the events of a recorded build; those of a running one as they come, for an hour at most.

    Returns why that could not be done, if so.
    """
    from buildclient.daemon.records import replay

    return (await ask(builder, replay(found.record.ref, sink), Pick(found.node, found.pod), _HOUR)).missed


async def stop(builder: Builder, pick: Pick = EVERY_POD, *, force: bool = False) -> list[tuple[str, int]]:
    """Scales the builder's workloads, or that of one node, to no replicas; returns nodes and the replicas they had.

    The next build or `inspect --bootstrap` starts them again. Raises UsageError while builds run there, unless
    `force`; UnreachableError.
    """
    scaled = await _scaled(builder, pick)
    if not force:
        running, _ = await records(builder, "", pick, active_only=True)
        busy = [one for one in running if one.record.completed is None]
        if busy:
            raise UsageError(
                f"{len(busy)} builds are running, such as {busy[0].record.ref} in {busy[0].pod}; --force ends them"
            )
    stopped = [(one.name, await one.pods.scale(0)) for one in scaled]
    await builder.end_kept_async()
    return stopped


async def stop_if_idle(
    builder: Builder, seconds: float, pick: Pick = EVERY_POD, timeout: float = TIMEOUT
) -> list[Rest]:
    """Scales to no replicas the workload of each node, or of one, that has built nothing for `seconds`.

    Each pod has `timeout` seconds to answer; a node whose pods do not all answer is left running. Raises UsageError.
    """
    from buildclient.nodes.idle import stop_if_idle as stop_node

    nodes = await _scaled(builder, pick)
    return list(await asyncio.gather(*(stop_node(node, seconds, timeout) for node in nodes)))


async def _scaled(builder: Builder, pick: Pick) -> list[NodeClient]:
    """The nodes that have a workload. Raises UsageError if none has."""
    scaled = [one for one in await _nodes(builder, pick.node) if one.node.workload is not None]
    if not scaled:
        raise UsageError("there is nothing to stop: the nodes are addresses, without a workload")
    return scaled
