"""Connects to one builder node: lists its pods, chooses one, and opens its Control service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.contract.output import NodeOutput
from buildclient.kube.pod import Pod, Pods
from buildclient.nodes.choice import choose_pod, usable

if TYPE_CHECKING:
    from buildclient.daemon.control import GrpcControl
    from buildclient.daemon.interfaces import Control
    from buildclient.nodes.pool import ConnectionPool

__all__ = ["NodeClient", "Waiting"]

_T = TypeVar("_T")

Waiting = Callable[[str, Sequence[Pod]], None]
"""Called with the node's name and its pods while none of them can take a build."""
_REASONS_PERIOD = 5.0
"""Seconds between two queries why there are no pods."""
_LOG = logging.getLogger("buildclient.nodes")
_CONNECT_TIMEOUT = 25.0
"""Seconds to connect to the daemon of a ready pod; the same limit as for later silence."""
_MAX_FALLBACK_PODS = 2
"""Further pods to try: a pod may go away between the list and the exec."""


class NodeClient:
    """One node of a builder; connects when needed."""

    def __init__(
        self,
        node: NodeOutput,
        pods: Pods | None,
        waiting: Waiting | None = None,
        pool: ConnectionPool | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`pods` may be None for a node with an address outside Kubernetes.

        Connections are shared through `pool`, if there is one; `environ` is the environment of programs (ssh).
        """
        self.node = node
        self.pod = ""
        """The pod that was last connected to; empty before that, and for an address."""
        self._pods = pods
        self._waiting = waiting
        self._pool = pool
        self._environ = os.environ if environ is None else environ

    @property
    def name(self) -> str:
        """The node's name in its builder."""
        return self.node.name

    async def open(self, key: str, deadline: float) -> Control:
        """Connects to the daemon that takes the build with routing key `key`. Raises UnreachableError."""
        if self.node.address:
            return await self._shared("", self._address, deadline)
        return await self._first_pod(key, deadline, lambda pod: self.connect_to(pod, deadline))

    async def dial(self, key: str, deadline: float) -> Connection:
        """As `open`, but returns the byte stream to the daemon. Raises UnreachableError."""

        async def dialled(endpoint: Endpoint) -> Connection:
            return await endpoint.connect(_until(deadline))

        if self.node.address:
            return await dialled(self._address())
        source = self._source()
        return await self._first_pod(key, deadline, lambda pod: dialled(source.endpoint(pod, self.node.container)))

    async def _first_pod(self, key: str, deadline: float, connect: Callable[[Pod], Awaitable[_T]]) -> _T:
        """Connects to the pod of the routing key, or to another if that one has just gone."""
        tried: set[str] = set()
        while True:
            pod = await self._choose(key, tried, deadline)
            try:
                return await connect(pod)
            except UnreachableError as error:
                tried.add(pod.name)
                others = [p for p in usable(await self.list_pods()) if p.name not in tried]
                if not others or len(tried) > _MAX_FALLBACK_PODS:
                    raise
                _LOG.debug("%s: pod %s failed, fall back to another: %s", self.node.name, pod.name, error)

    async def connect_to(self, pod: Pod, deadline: float) -> Control:
        """Connects to the daemon in one pod of the node, or at its address. Raises UnreachableError."""
        if self.node.address:
            return await self._shared("", self._address, deadline)
        source = self._source()
        self.pod = pod.name
        return await self._shared(pod.name, lambda: source.endpoint(pod, self.node.container), deadline)

    async def list_pods(self) -> Sequence[Pod]:
        """Returns all pods of the node; none for an address. Raises UnreachableError."""
        if self.node.address:
            return ()
        _load_aside()
        return await self._source().list(self.node.namespace, self.node.selector)

    async def wait_ready(self, deadline: float, count: int = 1) -> Sequence[Pod]:
        """Waits until `count` pods are ready, at most the node's timeout, and returns them. Raises UnreachableError."""
        if self.node.address:
            return ()
        _load_aside()
        until = min(deadline, asyncio.get_running_loop().time() + self.node.timeout_seconds)
        seen: list[Pod] = []

        def report(pods: Sequence[Pod]) -> None:
            seen[:] = pods
            if self._waiting:
                self._waiting(self.name, pods)

        await self._start()
        telling = asyncio.ensure_future(self._tell_reasons(seen)) if self._waiting else None
        try:
            return await self._source().wait_ready(self.node.namespace, self.node.selector, count, until, report)
        except UnreachableError as error:
            said = [reason for reason in await self.reasons() if reason not in error.message]
            if not said:
                raise
            raise UnreachableError(f"{error.message}; the cluster says: {'; '.join(said)}", hint=error.hint) from None
        finally:
            if telling:
                telling.cancel()

    async def scale(self, replicas: int) -> int:
        """Sets the replicas of the node's workload and returns how many it had. Raises UnreachableError."""
        workload = self.node.workload
        if workload is None:
            raise UnreachableError(f"node {self.name} has no workload that could be scaled")
        return await self._source().scale(self.node.namespace, workload.kind, workload.name, replicas)

    async def _start(self) -> None:
        """Starts a workload that was stopped; one without that right waits for who has it."""
        workload, replicas = self.node.workload, self.node.replicas
        if (
            workload is None
            or not replicas
            or self._pods is None
            or await self._source().list(self.node.namespace, self.node.selector)
        ):
            return
        with contextlib.suppress(UnreachableError):
            await self._pods.scale(self.node.namespace, workload.kind, workload.name, replicas, only_from=0)

    async def reasons(self) -> Sequence[str]:
        """Returns why the node has no ready pods, in the cluster's words; may be empty."""
        workload = self.node.workload
        if workload is None or self._pods is None:
            return ()
        return await self._pods.reasons(self.node.namespace, workload.kind, workload.name)

    async def _tell_reasons(self, seen: Sequence[Pod]) -> None:
        """While no pod exists, reports the workload's reasons: a quota, a policy, an unknown account."""
        while True:
            await asyncio.sleep(_REASONS_PERIOD)
            workload = self.node.workload
            if not seen and workload and self._waiting and (said := await self.reasons()):
                name = f"{workload.kind.lower()} {workload.name}"
                self._waiting(self.name, [Pod(name, self.node.namespace, False, False, reason="; ".join(said))])

    async def _choose(self, key: str, tried: set[str], deadline: float) -> Pod:
        pods = await self.list_pods()
        pods = [p for p in pods if p.name not in tried]
        pod = choose_pod(pods, self.node.loadbalance, key)
        if pod is None:
            _LOG.debug("%s: no ready pod, wait for one", self.node.name)
            pods = list(await self.wait_ready(deadline))
            pod = choose_pod(pods, self.node.loadbalance, key)
        if pod is None:
            raise UnreachableError(f"node {self.node.name} has no ready pod")
        why = "highest sticky score" if self.node.loadbalance == "sticky" else self.node.loadbalance
        _LOG.debug("%s: pod %s of %d ready: %s", self.node.name, pod.name, len(usable(pods)), why)
        return pod

    def _address(self) -> Endpoint:
        """The daemon at the node's address. Raises ConfigurationError for an address that is none."""
        from buildclient.contract.address import AddressError, KubePod, Ssh, parse_address

        try:
            address = parse_address(self.node.address)
        except AddressError as error:
            raise ConfigurationError(f"node {self.node.name}: address {self.node.address}: {error}") from None
        if isinstance(address, KubePod):
            pod = Pod(address.pod, address.namespace, ready=True, terminating=False)
            return self._source().endpoint(pod, address.container)
        if isinstance(address, Ssh):
            from buildclient.daemon.ssh import SshEndpoint

            return SshEndpoint(address, self._environ)
        from buildclient.daemon.address import AddressEndpoint

        return AddressEndpoint(address, self.node.tls)

    async def _shared(self, pod: str, endpoint: Callable[[], Endpoint], deadline: float) -> Control:
        """Opens a connection, or takes it from the pool."""
        if self._pool is None:
            return await self._connect(endpoint(), deadline)
        return await self._pool.get(f"{self.node.name}/{pod}", lambda: self._connect(endpoint(), deadline))

    async def _connect(self, endpoint: Endpoint, deadline: float) -> GrpcControl:
        until = _until(deadline)
        connection = await endpoint.connect(until)
        from buildclient.daemon.control import GrpcControl

        try:
            return await GrpcControl.open(endpoint, until, connection=connection)
        except BaseException:
            await connection.close()
            raise

    def _source(self) -> Pods:
        if self._pods is None:
            raise UnreachableError(f"node {self.node.name} has no cluster to look for its pods in")
        return self._pods


def _until(deadline: float) -> float:
    return min(deadline, asyncio.get_running_loop().time() + _CONNECT_TIMEOUT)


def _load_aside() -> None:
    """Imports what a connection needs, the slowest imports, in a thread while the cluster answers."""
    if "grpc" not in sys.modules:
        threading.Thread(target=_load, daemon=True).start()


def _load() -> None:
    import buildclient.daemon.control  # noqa: F401
