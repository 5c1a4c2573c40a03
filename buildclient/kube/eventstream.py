"""A watch over a WebSocket: events of the Kubernetes API, on a connection that is known to be alive.

A watch over HTTP says nothing for up to a minute (the API server's bookmarks), and a network that has gone meanwhile
looks like a cluster in which nothing happens. A WebSocket's pings are answered by the API server itself
(k8s.io/apiserver, endpoints/handlers/watch.go, HandleWS), within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi, api_failure, read_event
from buildclient.kube.frames import WebSocketError
from buildclient.kube.tunnel import target_of
from buildclient.kube.websocket import Closed, Refused, WebSocket, connect

__all__ = ["EventStream"]

_CONNECT_TIMEOUT = 10.0
"""Seconds to connect."""
_PING_TIMEOUT = 20.0
"""Seconds of silence after which the connection is given up."""


class EventStream:
    """An open watch; made by `open`."""

    def __init__(self, websocket: WebSocket, what: str) -> None:
        self._websocket = websocket
        self._what = what

    @classmethod
    async def open(
        cls,
        api: KubeApi,
        path: str,
        query: Mapping[str, str],
        what: str,
        *,
        ping_interval: float,
    ) -> EventStream:
        """Opens a watch with pings every so many seconds; `what` begins error messages.

        Raises ApiError where the cluster refuses, UnreachableError.
        """
        server = urlsplit(api.access.server)
        origin = f"{server.scheme}://{server.netloc.rpartition('@')[2]}"
        # The API server takes no watch over a WebSocket without an origin.
        headers = [("User-Agent", "buildclient"), ("Origin", origin), *await asyncio.to_thread(api.authority.headers)]
        url = f"{server.scheme}://{server.netloc}{api.target(path, {**query, 'watch': '1'})}"
        target = await target_of(api, url)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                opened = await connect(target, headers, (), ping_interval=ping_interval, ping_timeout=_PING_TIMEOUT)
        except Refused as error:
            raise api_failure(error.status, error.body, what, api.where) from None
        except (OSError, Closed, WebSocketError) as error:
            raise UnreachableError(f"{what} ({api.where}): {error or type(error).__name__}") from None
        return cls(opened, what)

    @property
    def answers(self) -> bool:
        """Whether the API server has answered lately, at least the last ping."""
        return not self._websocket.ended and self._websocket.answers

    async def next(self) -> dict[str, Any]:
        """Returns the next event. Raises ApiError (410: the list must be read anew), UnreachableError at the end."""
        try:
            return read_event(await self._websocket.recv(), self._what)
        except (Closed, ValueError) as error:
            raise UnreachableError(f"{self._what}: {error}") from None

    def close(self) -> None:
        """Ends it; may be called twice."""
        self._websocket.abort()
