"""Protocols of the byte stream to a daemon: a pod's exec, a TCP address or a Unix socket all serve it.

Deadlines are absolute, on `asyncio`'s loop clock (seconds). A stream that ends without its end marker is an error.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Connection", "Endpoint"]


class Connection(Protocol):
    """A byte stream to a BuildKit daemon."""

    @property
    def answers(self) -> bool | None:
        """Whether what lies between here and the daemon has answered lately; None where that is not known."""

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
