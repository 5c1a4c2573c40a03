"""Runs one build: choose nodes, solve on each, merge the results.

Tags and files appear only after every node has succeeded and every step that may fail has been done; folders and
streams are written as data arrives. `buildclient.tools` implements the `Tools` that a build works with.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from buildclient.contract.output import BuilderOutput
from buildclient.inputs.interfaces import Prepared
from buildclient.nodes.attempts import RetryingNode
from buildclient.nodes.interfaces import Node
from buildclient.nodes.placement import Placed, place
from buildclient.nodes.retries import RETRIES, Retries
from buildclient.nodes.versions import with_versions
from buildclient.progress.events import Event, EventSink, Vertex
from buildclient.progress.steps import client_step
from buildclient.request.attrs import IMAGE_TYPES, image_names, push_once, pushes
from buildclient.request.checks import check_request
from buildclient.request.values import BuildRequest, BuildResult
from buildclient.results.index import MergedIndex
from buildclient.results.interfaces import CommitStep
from buildclient.results.metadata import build_result
from buildclient.session.call import Service
from buildclient.solves import PUSH_RETRY_DELAYS, Solves

__all__ = ["PUSH_RETRY_DELAYS", "Tools", "build"]

CONTEXT_GRACE = 1.0
"""Seconds to wait for an error of the context after the builder turned out to be unreachable."""
_EXPORT = "exporting to "
"""How BuildKit names the step that makes and pushes an image."""


class Tools(Protocol):
    """What a build works with; implemented in `buildclient.tools`."""

    def nodes(self, output: BuilderOutput) -> Sequence[Node]:
        """Returns the builder's nodes, not yet connected. Raises UnreachableError."""

    def routing_key(self, request: BuildRequest) -> str:
        """Returns the key for the sticky choice of a pod."""

    def prepare(self, request: BuildRequest, stopped: Callable[[], bool]) -> AbstractContextManager[Prepared]:
        """Checks context and Dockerfile. Entered in a thread; waits for input until `stopped` returns True.

        Raises UsageError.
        """

    def commit_steps(self, request: BuildRequest, nodes: int) -> Sequence[CommitStep]:
        """Returns the commit steps, in order. Raises UsageError for a destination that cannot be used."""

    def services(self, request: BuildRequest) -> Sequence[Service]:
        """Returns the other services of every node's session: credentials, secrets, SSH agents."""

    def merge_soon(self, request: BuildRequest) -> None:
        """Begins to load what `merge` needs, and to log in where it will push. May be left out."""

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        """Pushes one index over the nodes' images under every tag and returns its digest. Raises ClientError."""


async def build(
    output: BuilderOutput,
    request: BuildRequest,
    tools: Tools,
    sink: EventSink,
    deadline: float,
    *,
    push_retry_delays: Sequence[float] = PUSH_RETRY_DELAYS,
    rules: Retries = RETRIES,
) -> BuildResult:
    """Runs a build; progress goes to `sink`. `deadline` for connecting is in seconds on the loop's clock.

    A node whose daemon is lost has its part taken up again by `rules`, as often as the request says.

    Raises a subclass of ClientError. When cancelled, it ends the solves on the nodes and writes no further tag or
    archive.
    """
    check_request(request)
    if request.call:
        # docker buildx exports: an image without a layer, in place of the tag's.
        request = request._replace(outputs=(), cache_to=(), metadata_provenance="")
    tools.commit_steps(request, 1)  # A wrong destination is reported before anything is connected.
    rules = rules._replace(limit=request.retries)
    nodes = [RetryingNode(node, sink, rules) for node in tools.nodes(output)]
    key = request.routing_key or tools.routing_key(request)
    async with contextlib.AsyncExitStack() as stack:
        # Connect while the context is being checked.
        prepared, placed = await _context_first(
            _prepare(tools, request, stack), _placed(nodes, request, key, deadline, stack)
        )
        if prepared.dockerfile_url:
            from buildclient.daemon.remote_file import fetch_dockerfile

            url, node = prepared.dockerfile_url, nodes[placed[0].share.node]
            prepared.put_dockerfile(await node.again(lambda control: fetch_dockerfile(control, url, sink)))
        request = request._replace(cache_from=tuple(prepared.cache_from))
        for line in prepared.skipped:
            async with client_step(sink, f"WARNING: {line}"):
                pass
        merged = len(placed) > 1 and pushes(request.outputs)
        if merged:
            request = push_once(request)
        names = image_names(request) if merged else ()
        index = MergedIndex(lambda responses: tools.merge(request, responses), names, sink)
        # Tags come first: the registry may refuse them, while a staged file only has to be renamed.
        steps: list[CommitStep] = [*([index] if merged else []), *tools.commit_steps(request, len(placed))]
        for step in steps:
            stack.callback(step.abort)
        shared = tools.services(request)
        told = _at_export(sink, lambda: tools.merge_soon(request)) if merged else sink
        solves = Solves(output.name, request, prepared, steps, shared, told, push_retry_delays, placed, nodes)
        results = await solves.solve_all()
        for step in steps:
            await step.stage(results)
        for step in steps:
            await step.commit()
    # Of several nodes without a push: the image that a step merged.
    images = [getattr(step, "image", None) for step in steps]
    image = next(filter(None, reversed(images)), None)
    return build_result(output.name, results, index.digest, image, recorded=not request.call)


def _at_export(sink: EventSink, then: Callable[[], None]) -> EventSink:
    """Passes events on, and calls `then` when the first node exports: then there is little else to do for a while."""
    waits = True

    def told(event: Event) -> None:
        nonlocal waits
        if waits and isinstance(event, Vertex) and event.name.startswith(_EXPORT):
            waits = False
            then()
        sink(event)

    return told


async def _prepare(tools: Tools, request: BuildRequest, stack: contextlib.AsyncExitStack) -> Prepared:
    """Returns the inputs, checked in a thread; `stack` removes their temporary files."""
    stopped = threading.Event()
    manager = tools.prepare(request, stopped.is_set)
    entering = asyncio.ensure_future(asyncio.to_thread(manager.__enter__))

    async def leave() -> None:
        # Also if the build was cancelled while the thread was still running.
        stopped.set()
        with contextlib.suppress(Exception):
            await entering
            manager.__exit__(None, None, None)

    stack.push_async_callback(leave)
    # Not `shield`, which writes a traceback for what the thread raises after a cancellation (Python 3.14).
    await asyncio.wait({entering})
    return entering.result()


async def _placed(
    nodes: Sequence[Node], request: BuildRequest, key: str, deadline: float, stack: contextlib.AsyncExitStack
) -> list[Placed]:
    """Places the build; where several nodes make one image, finds their versions while the context is read."""
    placed = await place(nodes, request.platforms, key, deadline, stack)
    if len(placed) < 2 or not any(output.type in IMAGE_TYPES for output in request.outputs):
        return placed
    return await with_versions(placed)


async def _context_first(
    preparing: Coroutine[Any, Any, Prepared], placing: Coroutine[Any, Any, list[Placed]]
) -> tuple[Prepared, list[Placed]]:
    """Runs both at once. An error of the context comes first, since it is the caller's.

    An unreachable builder is reported without waiting for a context that is still being read.
    """
    tasks = asyncio.ensure_future(preparing), asyncio.ensure_future(placing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if not tasks[0].done():
            await asyncio.wait(tasks[:1], timeout=CONTEXT_GRACE)
        failed = tasks[1] if not tasks[0].done() else tasks[0]
        failed.result()
        return await tasks[0], await tasks[1]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
