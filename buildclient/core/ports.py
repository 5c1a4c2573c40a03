"""The small interfaces between the recipe and the world; adapters and session fulfil them.

Deadlines are absolute, on `asyncio`'s loop clock (seconds), handed down from one place; a stream that ends
without its end marker is an error, never an end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildclient.core.events import Event
from buildclient.core.solve import SolveRequest
from contract.platform import Platform

if TYPE_CHECKING:
    from buildclient.core.provenance import Provenance

__all__ = [
    "Connection",
    "Control",
    "CredentialSource",
    "Credentials",
    "Endpoint",
    "EventSink",
    "Pod",
    "Pods",
    "Registry",
    "Worker",
]

EventSink = Callable[[Event], None]
"""Takes events as they come, from one thread, without blocking."""


class Connection(Protocol):
    """A byte stream to a BuildKit daemon."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises UnreachableError when it breaks."""

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while too much is in flight."""

    async def close_write(self) -> None:
        """Says that no more will be written."""

    async def close(self) -> None:
        """Ends both directions; may be called twice."""


class Endpoint(Protocol):
    """Where one daemon is reached: an exec into a pod, a TCP address, a Unix socket."""

    @property
    def description(self) -> str:
        """For messages: context, namespace, pod and container, or the address."""

    async def connect(self, deadline: float) -> Connection:
        """A new connection. Raises UnreachableError."""


class Pod(NamedTuple):
    """What the choice of a pod needs to know of one."""

    name: str
    namespace: str
    ready: bool
    terminating: bool
    phase: str = ""
    kubernetes_node: str = ""
    reason: str = ""
    """Why it is not ready, in the cluster's words (a waiting or failed container, an unschedulable pod)."""
    container_ready: bool = False
    """Whether the daemon's own container is ready (a sidecar may hold the pod back)."""
    uid: str = ""
    created: str = ""


class Pods(Protocol):
    """The pods of a cluster."""

    async def list(self, namespace: str, selector: Mapping[str, str], container: str) -> Sequence[Pod]:
        """All pods that carry the labels. Raises UnreachableError."""

    async def wait_ready(
        self,
        namespace: str,
        selector: Mapping[str, str],
        container: str,
        count: int,
        deadline: float,
        report: Callable[[Sequence[Pod]], None] | None = None,
    ) -> Sequence[Pod]:
        """All pods once `count` of them are ready; `report` is told the pods each time they change until then.

        Raises UnreachableError with each pod's reason at the deadline.
        """

    def endpoint(self, pod: Pod, container: str) -> Endpoint:
        """The daemon in a pod."""


class Worker(NamedTuple):
    """What a daemon says of itself (`Control.Info`, `ListWorkers`)."""

    id: str
    labels: Mapping[str, str]
    platforms: tuple[Platform, ...]
    """In the daemon's order: the native one first."""
    buildkit_version: str = ""
    gc_policies: tuple[Mapping[str, object], ...] = ()
    devices: tuple[str, ...] = ()


class Control(Protocol):
    """BuildKit's Control service over one connection."""

    async def workers(self, deadline: float) -> Sequence[Worker]:
        """The daemon's workers and version."""

    async def solve(
        self, request: SolveRequest, handlers: Mapping[str, Callable[..., Awaitable[None]]], sink: EventSink
    ) -> Mapping[str, str]:
        """Runs one solve with a session that serves `handlers`.

        Gives the exporter's response. Raises BuildFailed and its kin, or UnreachableError.
        """

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        """What was recorded of the build `ref`, by platform; empty where nothing was. Raises ClientError."""

    async def close(self) -> None:
        """Ends the connection."""


class Credentials(NamedTuple):
    """For one registry; all empty is anonymous."""

    username: str = ""
    secret: str = ""
    identity_token: str = ""
    registry_token: str = ""


class CredentialSource(Protocol):
    """Docker's config, credential stores and helpers."""

    async def get(self, host: str) -> Credentials:
        """Credentials for a registry's host as BuildKit names it (`registry-1.docker.io` for Docker Hub)."""


class Registry(Protocol):
    """The few calls of the OCI distribution API that merging needs."""

    async def get_manifest(self, reference: str, digest: str) -> tuple[str, bytes]:
        """Media type and exact bytes of a manifest. Raises ClientError."""

    async def put_manifest(self, reference: str, media_type: str, data: bytes) -> str:
        """Puts bytes under a tag or digest; gives their digest. Raises ClientError."""

    def blob(self, reference: str, digest: str) -> AsyncIterator[bytes]:
        """A blob's bytes, in pieces. Raises ClientError."""
