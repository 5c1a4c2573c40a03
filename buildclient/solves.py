"""Runs the solves of one build: one on each node, taken up again where a daemon is lost."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.base.tasks import gather_all
from buildclient.daemon.features import common_attrs
from buildclient.daemon.interfaces import Control
from buildclient.inputs.interfaces import Prepared
from buildclient.inputs.policy import refused_policy, remote_policy
from buildclient.nodes.admission import PodFull, admitted
from buildclient.nodes.attempts import RetryingNode
from buildclient.nodes.placement import Placed
from buildclient.nodes.versions import check_features
from buildclient.progress.events import Event, EventSink, SolveStarted, Vertex
from buildclient.progress.steps import OpenSteps, client_step
from buildclient.request.attrs import pushes, solve_request
from buildclient.request.solve import CacheEntry, SolveRequest, push_raced, ref_taken
from buildclient.request.values import BuildRequest, NodeResult
from buildclient.results.interfaces import CommitStep
from buildclient.results.metadata import preferred
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork

__all__ = ["PUSH_RETRY_DELAYS", "Solves"]

_LOG = logging.getLogger("buildclient.build")
PUSH_RETRY_DELAYS = (0.2, 1.0)
"""Seconds before each retry of a push that may have failed because another node pushed the same layer."""
PROVENANCE_TIMEOUT = 30.0
"""Seconds for a daemon to return the provenance that it recorded."""


class Solves(NamedTuple):
    """The solves of one build."""

    builder: str
    request: BuildRequest
    prepared: Prepared
    steps: Sequence[CommitStep]
    shared: Sequence[Service]
    sink: EventSink
    push_retry_delays: Sequence[float]
    placed: Sequence[Placed]
    nodes: Sequence[RetryingNode]
    """All nodes of the builder; a share names its node by the position."""

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
        request, fallback = self.request, placed.node.node.cache_fallback
        if fallback:
            request = request._replace(cache_from=(*request.cache_from, CacheEntry("registry", {"ref": fallback})))
        return solve_request(
            request,
            placed.share.platforms,
            ref=ref,
            context_attrs=self.prepared.attrs,
            frontend_inputs=self.prepared.frontend_inputs,
            shared_key=f"{key}:{self.builder}/{placed.node.node.name}" if key else "",
            several_nodes=len(self.placed) > 1,
            image_attrs=image_attrs,
        )

    async def _solve(self, number: int, asked: SolveRequest) -> NodeResult:
        placed = self.placed[number]
        several, name = len(self.placed) > 1, placed.node.node.name
        told: EventSink = (lambda event: self.sink(event._replace(node=name))) if several else self.sink
        node = self.nodes[placed.share.node]
        while True:
            steps = OpenSteps(told)
            counts = _Counts(steps)
            try:
                tried, response = await self._tried(number, placed, asked, counts)
                break
            except PodFull as full:
                await node.pass_on(full.ref)
            except UnreachableError as error:
                steps.cancel()
                await node.take_up(error, next(filter(None, (step.final() for step in self.steps)), ""))
            except BaseException:
                steps.cancel()
                raise
            for step in self.steps:
                step.restart(number)
            asked = asked._replace(ref=secrets.token_hex(13))
        node.ended(counts.ended, counts.cached)
        return NodeResult(name, tried.ref, placed.share.platforms, response, tuple(node.retries))

    async def _tried(
        self, number: int, placed: Placed, asked: SolveRequest, told: EventSink
    ) -> tuple[SolveRequest, Mapping[str, str]]:
        """Solves on a daemon, and asks it what it recorded if that is wanted."""
        request = self.request
        asked, response = await self._pushed(number, placed, asked, told)
        response = preferred(response, request.outputs)
        # For a merged image the metadata holds the digest alone.
        if request.metadata_provenance and not (len(self.placed) > 1 and pushes(request.outputs)):
            recorded = await _provenance(placed.control, asked.ref, request.metadata_provenance, self.sink)
            response = {**response, **recorded}
        return asked, response

    async def _pushed(
        self, number: int, placed: Placed, asked: SolveRequest, told: EventSink
    ) -> tuple[SolveRequest, Mapping[str, str]]:
        """Returns the solve that succeeded and its response.

        Retries a push that another node's push broke, and takes another id where two nodes are one daemon.
        """
        only_pushes = len(self.placed) > 1 and all(output.push for output in self.request.outputs)
        delays = list(self.push_retry_delays) if only_pushes else []
        ref = asked.ref
        while True:
            try:
                return asked, await self._begun(number, placed, asked, told)
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

    async def _begun(self, number: int, placed: Placed, asked: SolveRequest, told: EventSink) -> Mapping[str, str]:
        """Solves once; where pods have a limit, only as long as the pod has room. Raises PodFull."""

        async def solve(sink: EventSink) -> Mapping[str, str]:
            sink(SolveStarted("", name, asked.ref, tuple(map(str, placed.share.platforms)), placed.node.pod))
            return await placed.control.solve(asked, self._services(number), sink, _work(self.request, asked))

        name, node = placed.node.node.name, self.nodes[placed.share.node]
        if not placed.node.node.has_admission:
            return await solve(told)
        try:
            return await admitted(solve, lambda: node.stays(asked.ref), told)
        except PodFull:
            _LOG.debug("%s: pod %s is full: build %s goes on elsewhere", name, node.pod, asked.ref)
            raise PodFull(asked.ref) from None

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


class _Counts:
    """Passes events on, and counts the steps that ended."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._ended: dict[str, bool] = {}

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        if isinstance(event, Vertex) and event.completed is not None and not event.error:
            self._ended[event.digest] = event.cached or self._ended.get(event.digest, False)
        self._sink(event)

    @property
    def ended(self) -> int:
        """The steps that ended well."""
        return len(self._ended)

    @property
    def cached(self) -> int:
        """How many of them were in the daemon's cache."""
        return sum(self._ended.values())


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

    try:
        async with client_step(sink, "resolving provenance for metadata file"):
            recorded = await control.provenance(ref, asyncio.get_running_loop().time() + PROVENANCE_TIMEOUT)
            return provenance_entries(recorded, mode)
    except UnreachableError as error:
        # The build is done and its image pushed. A daemon that is going takes no further call.
        async with client_step(sink, f"WARNING: the metadata has no provenance: {error.message}"):
            return {}
