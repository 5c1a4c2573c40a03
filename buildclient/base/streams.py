"""Protocols of the byte stream to a daemon: a pod's exec, TCP, a Unix socket or ssh.

Deadlines are absolute, on `asyncio`'s loop clock (seconds). A stream that ends without its end marker is an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = ["Connection", "Endpoint", "NotBuildKit", "first_frame"]

_HEAD = 9
"""Bytes of an HTTP/2 frame's header (RFC 9113, 4.1)."""
_SETTINGS = 4
"""Type of a SETTINGS frame (RFC 9113, 6.5)."""


class NotBuildKit(Exception):
    """A stream begins with something else than a daemon's first frame; the message says with what."""


async def first_frame(receive: Callable[[], Awaitable[bytes]]) -> list[bytes]:
    """Returns the pieces with which a daemon begins, up to the header of its SETTINGS frame.

    Empty if the stream ends before. Raises NotBuildKit for anything else, and what `receive` raises.
    """
    first: list[bytes] = []
    head = b""
    while len(head) < _HEAD:
        data = await receive()
        if not data:
            return []
        first.append(data)
        head += data
    if head[3] != _SETTINGS:
        raise NotBuildKit(f"the answer is not BuildKit's: {head[:40]!r}")
    return first


class Connection(Protocol):
    """A byte stream to a BuildKit daemon."""

    @property
    def answers(self) -> bool | None:
        """Whether the path to the daemon (such as the API server) answered lately; None if unknown."""

    async def read(self) -> bytes:
        """Returns the next bytes; empty at the end. Raises UnreachableError when the connection breaks."""

    async def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; waits while too much is in flight."""

    async def close_write(self) -> bool:
        """Signals that no more will be written; returns whether the transport can signal that."""

    async def close(self) -> None:
        """Closes both directions; may be called twice."""


class Endpoint(Protocol):
    """How to reach one daemon: an exec into a pod, or an address."""

    @property
    def description(self) -> str:
        """For messages: context, namespace, pod and container, or the address."""

    @property
    def authority(self) -> str:
        """HTTP/2's `:authority` for calls to the daemon."""

    async def connect(self, deadline: float) -> Connection:
        """Opens a new connection. Raises UnreachableError."""
