"""The recipe of a build: builder output -> plan -> pods -> solve on every node -> one image under every tag.

It decides nothing by itself (that is `core`) and constructs no adapter (that is `api`): what it works with comes in
as `Tools`. Either every node's share succeeds and is put under every tag, or no tag is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from buildclient.base.errors import BuildFailed, ClientError
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.daemon.interfaces import Control
from buildclient.inputs.filesync import LocalDir, filesync
from buildclient.inputs.upload import upload
from buildclient.nodes.plan import Candidate, Share, needs_reports, plan
from buildclient.progress.events import EventSink, Vertex
from buildclient.request.attrs import check_request, pushes, solve_request
from buildclient.request.solve import push_raced
from buildclient.request.values import BuildRequest, BuildResult, NodeResult
from buildclient.results.filesend import Receivers, filesend
from buildclient.results.metadata import build_result
from buildclient.session.call import Handlers

__all__ = ["Exports", "Node", "Prepared", "Tools", "build"]

_T = TypeVar("_T")
_FIRST_WORD = 1.0
"""Seconds that a wrong context has to be said before a builder that is not reached."""
_RACE_PAUSES = (0.2, 1.0)
"""Seconds until a push is done again that two nodes' pushes of one layer may have spoilt."""
_RECORD = 30.0
"""Seconds that a daemon has to tell what it recorded of a build."""


class Node(Protocol):
    """A node of the builder and the way to it."""

    @property
    def node(self) -> NodeOutput:
        """What the builder's output says of it."""

    async def open(self, key: str, deadline: float) -> Control:
        """The daemon that takes the builds of this routing key. Raises UnreachableError."""


class Prepared(Protocol):
    """The context and the Dockerfile, looked at but not yet read."""

    @property
    def dirs(self) -> Mapping[str, LocalDir]:
        """What the daemon may read."""

    @property
    def attrs(self) -> Mapping[str, str]:
        """Frontend attributes that say what they are."""

    @property
    def shared_key(self) -> str:
        """The session's shared key, without the node."""

    @property
    def uploads(self) -> Mapping[str, str]:
        """Files that the daemon fetches, by id."""


class Exports(Protocol):
    """Where results come back to."""

    def receivers(self, node: int) -> Receivers:
        """What takes a node's results, by the exporter's position."""

    def commit(self) -> None:
        """Puts what came in its place; in a thread. Raises BuildFailed, and Cancelled soon after `abort`."""

    def abort(self) -> None:
        """Takes away what came and is not in its place; also while `commit` is at it."""


class Tools(Protocol):
    """What the recipe works with; made by `buildclient.api` alone."""

    def nodes(self, output: BuilderOutput) -> Sequence[Node]:
        """The builder's nodes, not yet reached. Raises UnreachableError."""

    def routing_key(self, request: BuildRequest) -> str:
        """The key of sticky choice."""

    def prepare(self, request: BuildRequest, stopped: Callable[[], bool]) -> AbstractContextManager[Prepared]:
        """Looks at context and Dockerfile; entered in a thread, where it waits for input until `stopped` says True.

        Raises UsageError.
        """

    def exports(self, request: BuildRequest, nodes: int) -> Exports:
        """Looks at the destinations. Raises UsageError."""

    def credentials(self) -> Handlers:
        """The session service that hands out registry credentials."""

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        """One index of what the nodes pushed, under every tag; gives its digest. Raises ClientError."""


async def build(
    output: BuilderOutput, request: BuildRequest, tools: Tools, sink: EventSink, deadline: float
) -> BuildResult:
    """Runs a build; progress goes to `sink`. `deadline` (to be connected) is on the loop's clock.

    Raises ClientError's kin. Cancelled, it ends what runs on the nodes; no tag and no archive comes that was not in its
    place by then.
    """
    check_request(request)
    tools.exports(request, 1)  # a wrong destination is told before anything is reached
    nodes = tools.nodes(output)
    key = request.routing_key or tools.routing_key(request)
    async with contextlib.AsyncExitStack() as stack:
        # Tunnels open while the context is looked at.
        prepared, placed = await _both(_looked_at(tools, request, stack), _place(nodes, request, key, deadline, stack))
        exports = tools.exports(request, len(placed))
        stack.callback(exports.abort)
        results = await _solve_all(output.name, request, placed, prepared, exports, tools, sink)
        digest = ""
        if len(results) > 1 and pushes(request.outputs):
            async with _step(sink, f"merging manifest list {','.join(request.tags)}"):
                digest = await tools.merge(request, [result.response for result in results])
        await _committed(exports)
    return build_result(output.name, results, digest)


async def _looked_at(tools: Tools, request: BuildRequest, stack: contextlib.AsyncExitStack) -> Prepared:
    stopped = threading.Event()
    manager = tools.prepare(request, stopped.is_set)
    entering = asyncio.ensure_future(asyncio.to_thread(manager.__enter__))

    async def leave() -> None:
        # Also where the build was cancelled while the thread still looked.
        stopped.set()
        with contextlib.suppress(Exception):
            await entering
            manager.__exit__(None, None, None)

    stack.push_async_callback(leave)
    return await asyncio.shield(entering)


async def _place(
    nodes: Sequence[Node], request: BuildRequest, key: str, deadline: float, stack: contextlib.AsyncExitStack
) -> list[tuple[Share, Node, Control]]:
    """Which node builds what, each with its daemon connected."""
    opened: dict[int, Control] = {}

    async def reach(number: int) -> None:
        opened[number] = control = await nodes[number].open(key, deadline)
        stack.push_async_callback(control.close)

    candidates = [Candidate(node.node.name, node.node.platforms) for node in nodes]
    if needs_reports(candidates, request.platforms):
        # Some platform has to be emulated, or is native without being declared: the daemons know.
        await _all(reach(number) for number in range(len(nodes)))
        reports = await _all(_reported(opened[number], deadline) for number in range(len(nodes)))
        candidates = [one._replace(reported=report) for one, report in zip(candidates, reports, strict=True)]
    shares = plan(candidates, request.platforms)
    await _all(reach(share.node) for share in shares if share.node not in opened)
    return [(share, nodes[share.node], opened[share.node]) for share in shares]


async def _reported(control: Control, deadline: float) -> tuple[Any, ...]:
    return tuple(platform for worker in await control.workers(deadline) for platform in worker.platforms)


async def _solve_all(
    builder: str,
    request: BuildRequest,
    placed: Sequence[tuple[Share, Node, Control]],
    prepared: Prepared,
    exports: Exports,
    tools: Tools,
    sink: EventSink,
) -> list[NodeResult]:
    """Every node's share at the same time; the first failure ends the others."""
    ref = secrets.token_hex(13)
    several = len(placed) > 1
    credentials = tools.credentials()

    async def solve(number: int, share: Share, node: Node, control: Control) -> NodeResult:
        name = node.node.name
        asked = solve_request(
            request,
            share.platforms,
            ref=ref,
            context_attrs=prepared.attrs,
            shared_key=f"{prepared.shared_key}:{builder}/{name}" if prepared.shared_key else "",
            several_nodes=several,
        )
        told: EventSink = (lambda event: sink(event._replace(node=name))) if several else sink
        pauses = list(_RACE_PAUSES) if several and all(output.push for output in request.outputs) else []
        while True:
            inputs = {**filesync(prepared.dirs), **upload(prepared.uploads)}
            handlers = {**credentials, **inputs, **filesend(exports.receivers(number))}
            try:
                response = await control.solve(asked, handlers, told)
                break
            except BuildFailed as error:
                if not pauses or not push_raced(str(error)):
                    raise
            # All is built by now; just the push is done again.
            await asyncio.sleep(pauses.pop(0))
            asked = asked._replace(ref=secrets.token_hex(13))
        # Of a merged image its digest alone is told.
        if request.metadata_provenance and not (several and pushes(request.outputs)):
            response = {**response, **await _provenance(control, asked.ref, request.metadata_provenance, sink)}
        return NodeResult(name, asked.ref, share.platforms, response)

    return await _all(solve(number, *one) for number, one in enumerate(placed))


async def _provenance(control: Control, ref: str, mode: str, sink: EventSink) -> dict[str, str]:
    from buildclient.daemon.provenance import provenance_entries

    async with _step(sink, "resolving provenance for metadata file"):
        found = await control.provenance(ref, asyncio.get_running_loop().time() + _RECORD)
        return provenance_entries(found, mode)


async def _committed(exports: Exports) -> None:
    """Puts what came in its place; cancelled, it takes away what is not, and waits for the thread that was at it."""
    committing = asyncio.ensure_future(asyncio.to_thread(exports.commit))
    try:
        await asyncio.shield(committing)
    except asyncio.CancelledError:
        exports.abort()
        await asyncio.gather(committing, return_exceptions=True)
        raise


async def _all(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Runs all at once; the first failure cancels the rest, waits for their end, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _both(
    looking: Coroutine[Any, Any, Prepared], placing: Coroutine[Any, Any, list[tuple[Share, Node, Control]]]
) -> tuple[Prepared, list[tuple[Share, Node, Control]]]:
    """Both at once; what is wrong with the context is said first, since it is the caller's.

    A builder that is not reached is not kept back for a context that is still coming.
    """
    tasks = asyncio.ensure_future(looking), asyncio.ensure_future(placing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if not tasks[0].done():
            await asyncio.wait(tasks[:1], timeout=_FIRST_WORD)
        failed = tasks[1] if not tasks[0].done() else tasks[0]
        failed.result()
        return await tasks[0], await tasks[1]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


@contextlib.asynccontextmanager
async def _step(sink: EventSink, name: str) -> AsyncIterator[None]:
    """A step of the client's own in the progress."""
    vertex = Vertex(f"client:{secrets.token_hex(8)}", name, started=time.time())
    sink(vertex)
    try:
        yield
    except (ClientError, asyncio.CancelledError) as error:
        sink(vertex._replace(completed=time.time(), error=str(error) or "cancelled"))
        raise
    sink(vertex._replace(completed=time.time()))
