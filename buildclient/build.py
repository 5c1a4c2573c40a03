"""Runs one build: choose nodes, solve on each, merge the results.

Tags and files appear only after every node has succeeded and every step that may fail has been done; folders and
streams are written as data arrives. `buildclient.tools` implements the `Tools` that a build works with.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from buildclient.base.errors import BuildFailed
from buildclient.base.tasks import gather_all
from buildclient.contract.output import BuilderOutput
from buildclient.daemon.features import common_attrs
from buildclient.daemon.interfaces import Control
from buildclient.inputs.interfaces import Prepared
from buildclient.inputs.policy import refused_policy, remote_policy
from buildclient.nodes.interfaces import Node
from buildclient.nodes.placement import Placed, place
from buildclient.nodes.versions import check_features, with_versions
from buildclient.progress.events import EventSink, SolveStarted
from buildclient.progress.steps import OpenSteps, client_step
from buildclient.request.attrs import IMAGE_TYPES, image_names, push_once, pushes, solve_request
from buildclient.request.checks import check_request
from buildclient.request.solve import SolveRequest, push_raced, ref_taken
from buildclient.request.values import BuildRequest, BuildResult, NodeResult
from buildclient.results.index import MergedIndex
from buildclient.results.interfaces import CommitStep
from buildclient.results.metadata import build_result, preferred
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork

__all__ = ["PUSH_RETRY_DELAYS", "Tools", "build"]

_LOG = logging.getLogger("buildclient.build")
PUSH_RETRY_DELAYS = (0.2, 1.0)
"""Seconds before each retry of a push that may have failed because another node pushed the same layer."""
CONTEXT_GRACE = 1.0
"""Seconds to wait for an error of the context after the builder turned out to be unreachable."""
PROVENANCE_TIMEOUT = 30.0
"""Seconds for a daemon to return the provenance that it recorded."""


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
) -> BuildResult:
    """Runs a build; progress goes to `sink`. `deadline` for connecting is in seconds on the loop's clock.

    Raises a subclass of ClientError. When cancelled, it ends the solves on the nodes and writes no further tag or
    archive.
    """
    check_request(request)
    if request.call:
        # docker buildx exports: an image without a layer, in place of the tag's.
        request = request._replace(outputs=(), cache_to=(), metadata_provenance="")
    tools.commit_steps(request, 1)  # A wrong destination is reported before anything is connected.
    nodes = tools.nodes(output)
    key = request.routing_key or tools.routing_key(request)
    async with contextlib.AsyncExitStack() as stack:
        # Connect while the context is being checked.
        prepared, placed = await _context_first(
            _prepare(tools, request, stack), _placed(nodes, request, key, deadline, stack)
        )
        if prepared.dockerfile_url:
            from buildclient.daemon.remote_file import fetch_dockerfile

            prepared.put_dockerfile(await fetch_dockerfile(placed[0].control, prepared.dockerfile_url, sink))
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
        work = _Build(output.name, request, prepared, steps, tools.services(request), sink, push_retry_delays, placed)
        results = await work.solve_all()
        for step in steps:
            await step.stage(results)
        for step in steps:
            await step.commit()
    # Of several nodes without a push: the image that a step merged.
    images = [getattr(step, "image", None) for step in steps]
    image = next(filter(None, reversed(images)), None)
    return build_result(output.name, results, index.digest, image, recorded=not request.call)


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
    """Places the build; where several nodes make one image, asks for their versions while the context is read."""
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


class _Build(NamedTuple):
    """The solves of one build."""

    builder: str
    request: BuildRequest
    prepared: Prepared
    steps: Sequence[CommitStep]
    shared: Sequence[Service]
    sink: EventSink
    push_retry_delays: Sequence[float]
    placed: Sequence[Placed]

    async def solve_all(self) -> list[NodeResult]:
        """Solves on all nodes at the same time; the first failure ends the others."""
        ref = secrets.token_hex(13)
        image_attrs = common_attrs([one.version for one in self.placed if one.version is not None])
        asked = [self._asked(one, ref, image_attrs) for one in self.placed]
        await check_features(self.placed, asked)
        return await gather_all(self._solve(number, one) for number, one in enumerate(asked))

    def _asked(self, placed: Placed, ref: str, image_attrs: Mapping[str, str]) -> SolveRequest:
        """Returns a node's solve."""
        key = self.prepared.shared_key
        return solve_request(
            self.request,
            placed.share.platforms,
            ref=ref,
            context_attrs=self.prepared.attrs,
            shared_key=f"{key}:{self.builder}/{placed.node.node.name}" if key else "",
            several_nodes=len(self.placed) > 1,
            image_attrs=image_attrs,
        )

    async def _solve(self, number: int, asked: SolveRequest) -> NodeResult:
        request, placed = self.request, self.placed[number]
        several, name = len(self.placed) > 1, placed.node.node.name
        told: EventSink = (lambda event: self.sink(event._replace(node=name))) if several else self.sink
        steps = OpenSteps(told)
        try:
            asked, response = await self._pushed(number, placed, asked, steps)
        except BaseException:
            steps.cancel()
            raise
        response = preferred(response, request.outputs)
        # For a merged image the metadata holds the digest alone.
        if request.metadata_provenance and not (several and pushes(request.outputs)):
            recorded = await _provenance(placed.control, asked.ref, request.metadata_provenance, self.sink)
            response = {**response, **recorded}
        return NodeResult(name, asked.ref, placed.share.platforms, response)

    async def _pushed(
        self, number: int, placed: Placed, asked: SolveRequest, told: EventSink
    ) -> tuple[SolveRequest, Mapping[str, str]]:
        """Returns the solve that succeeded and its response.

        Retries a push that another node's push broke, and takes another id where two nodes are one daemon.
        """
        only_pushes = len(self.placed) > 1 and all(output.push for output in self.request.outputs)
        delays = list(self.push_retry_delays) if only_pushes else []
        ref, control = asked.ref, placed.control
        begun = SolveStarted("", placed.node.node.name, ref, tuple(map(str, placed.share.platforms)), placed.node.pod)
        while True:
            told(begun._replace(ref=asked.ref))
            try:
                return asked, await control.solve(asked, self._services(number), told, _work(self.request, asked))
            except BuildFailed as error:
                if asked.ref == ref and ref_taken(str(error), ref):
                    asked = asked._replace(ref=secrets.token_hex(13))
                    continue
                if not delays or not push_raced(str(error)):
                    raise
                _LOG.debug("solve %s: push again in %.1f s: %s", asked.ref, delays[0], error)
            # Everything is built by now, so only the push is repeated.
            await asyncio.sleep(delays.pop(0))
            asked = asked._replace(ref=secrets.token_hex(13))

    def _services(self, number: int) -> list[Service]:
        """Returns the services of a node's session: those of the inputs, of the results and of the tools."""
        of_steps = [service for step in self.steps for service in step.services(number)]
        stores = dict(self.prepared.stores)
        for step in self.steps:
            # A folder that is read and written has one store: the step's, which does both.
            stores.update(step.stores(number))
        if stores:
            from buildclient.session.content import content

            of_steps.append(content(stores))
        return [*self.shared, *self.prepared.services(), *of_steps]


def _work(request: BuildRequest, asked: SolveRequest) -> GatewayWork | None:
    """Returns what is done in the solve's gateway; None for a plain build, which needs none."""
    policy = remote_policy(request, asked.frontend_attrs.get("filename", ""))
    if not request.call and not policy:
        return None
    from buildclient.daemon.subrequest import subrequest, unless_file

    work = subrequest(asked, request.call) if request.call else None
    return unless_file(asked, policy, refused_policy(policy), work) if policy else work


async def _provenance(control: Control, ref: str, mode: str, sink: EventSink) -> dict[str, str]:
    from buildclient.daemon.provenance import provenance_entries

    async with client_step(sink, "resolving provenance for metadata file"):
        recorded = await control.provenance(ref, asyncio.get_running_loop().time() + PROVENANCE_TIMEOUT)
        return provenance_entries(recorded, mode)
