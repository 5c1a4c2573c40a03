"""The protocol of a daemon's Control service. Deadlines are absolute, on `asyncio`'s loop clock (seconds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from buildclient.daemon.worker import Worker
from buildclient.progress.events import EventSink
from buildclient.request.solve import SolveRequest
from buildclient.session.call import Service

if TYPE_CHECKING:
    from buildclient.daemon.gateway import GatewayWork
    from buildclient.daemon.provenance import Provenance
    from buildclient.daemon.query import Query

_T = TypeVar("_T")
__all__ = ["Control"]


class Control(Protocol):
    """BuildKit's Control service over one connection."""

    async def workers(self, deadline: float) -> Sequence[Worker]:
        """Returns the daemon's workers and version."""

    async def solve(
        self, request: SolveRequest, services: Sequence[Service], sink: EventSink, work: GatewayWork | None = None
    ) -> Mapping[str, str]:
        """Runs one solve with a session that serves `services`; progress goes to `sink`.

        `work`, if given, runs in the solve's gateway instead of the request's frontend. Returns the exporter's
        response, with the metadata of the work's result. Raises BuildFailed or a subclass, or UnreachableError.
        """

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        """Returns the provenance recorded for build `ref`, by platform; may be empty. Raises ClientError."""

    async def ask(self, query: Query[_T], deadline: float) -> _T:
        """Returns the answer to a query (`buildclient.daemon.query`). Raises ClientError."""

    async def close(self) -> None:
        """Ends the connection."""
