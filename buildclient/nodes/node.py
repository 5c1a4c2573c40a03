"""Connects to one builder node: lists its pods, chooses one, and opens its Control service."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from buildclient.base.errors import ConfigurationError, DaemonLost, UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.contract.output import LEAST_LOADED, NodeOutput
from buildclient.kube.pod import Pod, Pods
from buildclient.nodes.choice import ASKED, by_load, ranked, usable
from buildclient.nodes.nodepods import NodePods, Waiting
from buildclient.nodes.race import HEAD_START, race

if TYPE_CHECKING:
    from buildclient.daemon.control import GrpcControl
    from buildclient.daemon.interfaces import Control
    from buildclient.nodes.line import Line, Queued
    from buildclient.nodes.pool import ConnectionPool

__all__ = ["NodeClient"]

_T = TypeVar("_T")

_LOG = logging.getLogger("buildclient.nodes")
_CONNECT_TIMEOUT = 25.0
"""Seconds to connect to the daemon of a ready pod, others beside it included; the same limit as for later silence."""
_MOST_TRIED = 3
"""Pods to try: one may go away between the list and the exec."""
_MOST_MOVES = 2
"""How often a build that found its pod less free than another goes to look again."""
_LIST_AGAIN = 1.0
"""Seconds before pods are listed again that were listed as ready and are gone: the list is a little late."""


class NodeClient:
    """One node of a builder; connects when needed."""

    def __init__(
        self,
        node: NodeOutput,
        pods: Pods | None,
        waiting: Waiting | None = None,
        pool: ConnectionPool | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        head_start: float = HEAD_START,
        queued: Queued | None = None,
    ) -> None:
        """`pods` may be None for a node with an address outside Kubernetes. `queued` is told of a wait in the queue.

        Connections are shared through `pool`, if there is one; `environ` is the environment of programs (ssh).
        `head_start` is how many seconds a pod has alone before the next one is tried beside it.
        """
        self.node = node
        self._at: Pod | None = None
        self.pods = NodePods(node, pods, waiting)
        """The node's pods in the cluster."""
        self._pool = pool
        self._environ = os.environ if environ is None else environ
        self._head_start = head_start
        self._moves = 0
        self._next_load: int | None = None
        self._line: Line | None = None
        if pods is not None and node.workload is not None and node.max_parallel_builds:
            from buildclient.nodes.line import Line

            queue = pods.queue(node.namespace, node.workload.name)
            self._line = Line(node.name, node.max_parallel_builds, queue, queued)

    @property
    def name(self) -> str:
        """The node's name in its builder."""
        return self.node.name

    @property
    def pod(self) -> str:
        """The pod that was last connected to; empty before that, and for an address."""
        return self._at.name if self._at else ""

    @property
    def version(self) -> str | None:
        """The BuildKit version of the container that was last connected to; None if that is not remembered."""
        return self.pods.source().version(self._at, self.node.container) if self._at else None

    def note_version(self, version: str) -> None:
        """Notes the version that the daemon which was last connected to has told."""
        if self._at:
            self.pods.source().note_version(self._at, self.node.container, version)

    async def open(self, key: str, deadline: float, avoid: Sequence[str] = (), *, full: bool = False) -> Control:
        """Connects to the daemon that takes the build with routing key `key`.

        Pods named in `avoid` are asked only if there is no other. With `full`, or where others wait already, waits in
        the node's queue until a pod has room; otherwise a pod that is full is found so by `admit`. Raises
        UnreachableError; DaemonLost if the pods that are listed as ready do not answer.
        """
        if self.node.address:
            return await self._shared("", self._address, deadline)
        self._moves += full
        if self._line is None:
            return await self._nearest(key, deadline, avoid)
        waited_for = asyncio.ensure_future(self._line.someone_waits())
        try:
            if not full:
                control = await self._nearest(key, deadline, avoid)
                if not await waited_for:
                    return control
                await control.close()
            return await self._in_turn(self._line, key, deadline, avoid, behind=await waited_for)
        finally:
            waited_for.cancel()

    async def admit(self, control: Control, ref: str) -> bool:
        """Returns whether build `ref`, which has begun there, may stay: False where its pod has no room.

        That is a pod at its limit; of the least loaded, also one that others have taken meanwhile while another pod was
        as good. A build that stays leaves the queue.
        """
        from buildclient.nodes.loads import has_room

        limits = [self.node.max_parallel_builds] if self._line else []
        if self._next_load is not None and self._moves < _MOST_MOVES:
            limits.append(self._next_load + 1)
        stays = not limits or await has_room(control, ref, min(limits))
        if stays:
            await self.leave()
        return stays

    async def leave(self) -> None:
        """Gives up the place in the node's queue, if there is one."""
        if self._line is not None:
            await self._line.leave()

    async def _nearest(self, key: str, deadline: float, avoid: Sequence[str]) -> Control:
        """Connects to the best pod, whether it has room or not."""

        async def connect(pod: Pod, until: float) -> Control:
            return await self._to_pod(pod, until)

        async def close(control: Control) -> None:
            await control.close()

        async def first(pods: Sequence[Pod]) -> tuple[Pod, Control]:
            if self.node.loadbalance == LEAST_LOADED and len(pods) > 1:
                from buildclient.nodes.loads import ask_loads, close_all

                loads = await ask_loads(pods[:ASKED], lambda pod: self._to_pod(pod, _until(deadline)))
                if order := by_load(pods, {name: one.builds for name, one in loads.items()}):
                    chosen = loads[order[0].name].control
                    self._next_load = loads[order[1].name].builds if len(order) > 1 else None
                    await close_all(loads, [chosen])
                    return order[0], chosen
            return await race(pods[:_MOST_TRIED], connect, close, _until(deadline), self._head_start)

        return await self._first_pod(key, deadline, first, avoid)

    async def _in_turn(self, line: Line, key: str, deadline: float, avoid: Sequence[str], *, behind: bool) -> Control:
        """Connects to a pod that has room; in turn, if all are full or others are waiting (`behind`)."""
        loop = asyncio.get_running_loop()
        seconds = deadline - loop.time()

        async def pods() -> Sequence[Pod]:
            return await self._order(key, avoid, loop.time() + seconds)

        async def connect(pod: Pod) -> Control:
            return await self._to_pod(pod, loop.time() + _CONNECT_TIMEOUT)

        self._at, control = await line.turn(pods, connect, sticky=self.node.loadbalance == "sticky", behind=behind)
        return control

    async def dial(self, key: str, deadline: float) -> Connection:
        """As `open`, whatever the limit, but returns the byte stream to the daemon. Raises UnreachableError."""

        async def dialled(endpoint: Endpoint) -> Connection:
            return await endpoint.connect(_until(deadline))

        if self.node.address:
            return await dialled(self._address())
        source = self.pods.source()

        async def connect(pod: Pod, until: float) -> Connection:
            return await source.endpoint(pod, self.node.container).connect(until)

        async def close(connection: Connection) -> None:
            await connection.close()

        async def first(pods: Sequence[Pod]) -> tuple[Pod, Connection]:
            return await race(pods[:_MOST_TRIED], connect, close, _until(deadline), self._head_start)

        return await self._first_pod(key, deadline, first)

    async def _first_pod(
        self,
        key: str,
        deadline: float,
        first: Callable[[Sequence[Pod]], Awaitable[tuple[Pod, _T]]],
        avoid: Sequence[str] = (),
    ) -> _T:
        """Connects by `first` to the pod of the routing key, or to another if that one has gone or does not answer.

        If all have gone, lists them again: as with pods that are not ready, for up to the node's timeout.
        """
        loop = asyncio.get_running_loop()
        patience = min(deadline, loop.time() + self.node.timeout_seconds)
        gone = False
        while True:
            pods = await self._order(key, avoid, deadline)
            try:
                self._at, found = await first(pods)
            except DaemonLost as error:
                if error.silent or loop.time() + _LIST_AGAIN > patience:
                    raise
                _LOG.debug("%s: listed as ready, and gone: %s", self.name, error)
                gone = True
                self.pods.tell([pod._replace(ready=False, reason=error.message) for pod in pods])
                await asyncio.sleep(_LIST_AGAIN)
            else:
                if gone:
                    self.pods.tell([self._at])
                return found

    async def connect_to(self, pod: Pod, deadline: float) -> Control:
        """Connects to the daemon in one pod of the node, or at its address. Raises UnreachableError."""
        if self.node.address:
            return await self._shared("", self._address, deadline)
        self._at = pod
        return await self._to_pod(pod, deadline)

    async def _to_pod(self, pod: Pod, deadline: float) -> Control:
        source = self.pods.source()
        return await self._shared(pod.name, lambda: source.endpoint(pod, self.node.container), deadline)

    async def _order(self, key: str, avoid: Sequence[str], deadline: float) -> list[Pod]:
        """Returns the pods to try, the best first; waits for one. Raises UnreachableError."""
        pods = await self.pods.list()
        if not usable(pods):
            _LOG.debug("%s: no ready pod, wait for one", self.node.name)
            pods = await self.pods.wait_ready(deadline, known=pods)
        # Stable: of those to avoid, and of the others, the order stays.
        order = sorted(ranked(pods, self.node.loadbalance, key), key=lambda pod: pod.name in avoid)
        if not order:
            raise UnreachableError(f"node {self.node.name} has no ready pod")
        why = "highest sticky score" if self.node.loadbalance == "sticky" else self.node.loadbalance
        _LOG.debug("%s: pod %s of %d ready: %s", self.node.name, order[0].name, len(usable(pods)), why)
        return order

    def _address(self) -> Endpoint:
        """The daemon at the node's address. Raises ConfigurationError for an address that is none."""
        from buildclient.contract.address import AddressError, KubePod, Ssh, parse_address

        try:
            address = parse_address(self.node.address)
        except AddressError as error:
            raise ConfigurationError(f"node {self.node.name}: address {self.node.address}: {error}") from None
        if isinstance(address, KubePod):
            pod = Pod(address.pod, address.namespace, ready=True, terminating=False)
            return self.pods.source().endpoint(pod, address.container)
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


def _until(deadline: float) -> float:
    return min(deadline, asyncio.get_running_loop().time() + _CONNECT_TIMEOUT)
