"""Shows the client's own steps in the progress, beside those of the daemons."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator

from buildclient.base.errors import ClientError
from buildclient.progress.events import EventSink, Vertex

__all__ = ["client_step"]


@contextlib.asynccontextmanager
async def client_step(sink: EventSink, name: str) -> AsyncIterator[None]:
    """Shows what is done inside as one step, failed where a ClientError or a cancellation comes out of it."""
    vertex = Vertex(f"client:{secrets.token_hex(8)}", name, started=time.time())
    sink(vertex)
    try:
        yield
    except (ClientError, asyncio.CancelledError) as error:
        sink(vertex._replace(completed=time.time(), error=str(error) or "cancelled"))
        raise
    sink(vertex._replace(completed=time.time()))
