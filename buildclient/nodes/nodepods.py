"""The pods of one builder node: lists them, waits for them with the cluster's reasons, starts and scales them."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from buildclient.base.errors import UnreachableError
from buildclient.contract.output import NodeOutput, Workload
from buildclient.kube.pod import Pod, Pods

if TYPE_CHECKING:
    from buildclient.kube.lease import Ticket

__all__ = ["NodePods", "Waiting"]

Waiting = Callable[[str, Sequence[Pod]], None]
"""Called with the node's name and its pods while none of them can take a build."""
_REASONS_PERIOD = 5.0
"""Seconds between two queries why there are no pods."""
_LOG = logging.getLogger("buildclient.nodes")


class NodePods:
    """The pods of a node; a node with an address has none."""

    def __init__(self, node: NodeOutput, pods: Pods | None, waiting: Waiting | None = None) -> None:
        """`pods` are the cluster's; None for a node with an address outside Kubernetes."""
        self._node = node
        self._pods = pods
        self._waiting = waiting

    def source(self) -> Pods:
        """The cluster's pods. Raises UnreachableError for a node without a cluster."""
        if self._pods is None:
            raise UnreachableError(f"node {self._node.name} has no cluster to look for its pods in")
        return self._pods

    def tell(self, pods: Sequence[Pod]) -> None:
        """Says that the build waits for these pods, or goes on with one that is ready."""
        if self._waiting:
            self._waiting(self._node.name, pods)

    async def list(self) -> Sequence[Pod]:
        """Returns all pods of the node; none for an address. Raises UnreachableError."""
        if self._node.address:
            return ()
        _load_aside()
        return await self.source().list(self._node.namespace, self._node.selector)

    async def wait_ready(self, deadline: float, count: int = 1, known: Sequence[Pod] | None = None) -> Sequence[Pod]:
        """Waits until `count` pods are ready, at most the node's timeout, and returns them. Raises UnreachableError.

        `known` are the pods if they have just been listed.
        """
        if self._node.address:
            return ()
        _load_aside()
        until = min(deadline, asyncio.get_running_loop().time() + self._node.timeout_seconds)
        seen: list[Pod] = []

        def report(pods: Sequence[Pod]) -> None:
            seen[:] = pods
            self.tell(pods)

        refused = await self._start(known)
        telling = asyncio.ensure_future(self._tell_reasons(seen)) if self._waiting else None
        try:
            return await self.source().wait_ready(self._node.namespace, self._node.selector, count, until, report)
        except UnreachableError as error:
            said = [reason for reason in (refused, *await self.reasons()) if reason and reason not in error.message]
            if not said:
                raise
            raise UnreachableError(f"{error.message}; the cluster says: {'; '.join(said)}", hint=error.hint) from None
        finally:
            if telling:
                telling.cancel()

    async def tickets(self) -> Sequence[Ticket]:
        """Returns the places in the node's queue, those of clients that have died among them. Raises UnreachableError.

        There are none without a limit of builds.
        """
        if not self._node.max_parallel_builds or self._node.workload is None:
            return ()
        return await self.source().queue(self._node.namespace, self._node.workload.name).tickets()

    async def replicas(self) -> int:
        """How many pods the node's workload is to have. Raises UnreachableError."""
        workload = self._workload()
        return await self.source().replicas(self._node.namespace, workload.kind, workload.name)

    async def scale(self, replicas: int) -> int:
        """Sets the replicas of the node's workload and returns how many it had. Raises UnreachableError."""
        workload = self._workload()
        return await self.source().scale(self._node.namespace, workload.kind, workload.name, replicas)

    async def scale_from(self, count: int, replicas: int) -> bool:
        """Sets the replicas if they are `count`; returns whether they were. Raises UnreachableError."""
        workload = self._workload()
        source = self.source()
        return count == await source.scale(
            self._node.namespace, workload.kind, workload.name, replicas, only_from=count
        )

    def _workload(self) -> Workload:
        if self._node.workload is None:
            raise UnreachableError(f"node {self._node.name} has no workload that could be scaled")
        return self._node.workload

    async def _start(self, known: Sequence[Pod] | None) -> str:
        """Starts a workload that was stopped; one without that right waits for who has it. Returns why it may not.

        `known` are its pods if they have just been listed.
        """
        node = self._node
        if node.workload is None or not node.replicas or node.cluster_starts or self._pods is None:
            return ""
        # Pods that are stopping take no build, and come back in no other way.
        pods = await self.source().list(node.namespace, node.selector) if known is None else known
        if any(not pod.terminating for pod in pods):
            return ""
        try:
            await self.scale_from(0, node.replicas)
        except UnreachableError as error:
            _LOG.debug("%s: not started: %s", self._node.name, error)
            return str(error)
        return ""

    async def reasons(self) -> Sequence[str]:
        """Returns why the node has no ready pods, in the cluster's words; may be empty."""
        workload = self._node.workload
        if workload is None or self._pods is None:
            return ()
        said = await self._pods.reasons(self._node.namespace, workload.kind, workload.name)
        if not self._node.cluster_starts:
            return said
        from buildclient.kube.reasons import LEFT_TO_CLUSTER, STOPPED

        return [LEFT_TO_CLUSTER if reason == STOPPED else reason for reason in said]

    async def _tell_reasons(self, seen: Sequence[Pod]) -> None:
        """While no pod exists, reports the workload's reasons: a quota, a policy, an unknown account.

        Of pods that are being created, reports which image they are waiting for.
        """
        while True:
            await asyncio.sleep(_REASONS_PERIOD)
            workload = self._node.workload
            if seen and self._waiting and self._pods:
                pulls = await self._pods.pulls(self._node.namespace, [pod.name for pod in seen if not pod.ready])
                if pulls:
                    self._waiting(
                        self._node.name, [pod._replace(reason=pulls.get(pod.name, pod.reason)) for pod in seen]
                    )
            elif not seen and workload and self._waiting and (said := await self.reasons()):
                name = f"{workload.kind.lower()} {workload.name}"
                self._waiting(self._node.name, [Pod(name, self._node.namespace, False, False, reason="; ".join(said))])


def _load_aside() -> None:
    """Imports what a connection needs, the slowest imports, in a thread while the cluster answers."""
    if "buildclient.daemon.control" not in sys.modules:
        threading.Thread(target=_load, daemon=True).start()


def _load() -> None:
    import buildclient.daemon.control  # noqa: F401
