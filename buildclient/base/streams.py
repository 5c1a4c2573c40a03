"""Protocols of the byte stream to a daemon: a pod's exec, TCP, a Unix socket or ssh.

Deadlines are absolute, on `asyncio`'s loop clock (seconds). A stream that ends without its end marker is an error.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Connection", "Endpoint"]


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
