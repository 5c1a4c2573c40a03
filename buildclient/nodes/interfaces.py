"""The protocol of a builder's node. Deadlines are absolute, on `asyncio`'s loop clock (seconds)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildclient.base.streams import Connection
from buildclient.contract.output import NodeOutput
from buildclient.daemon.interfaces import Control

__all__ = ["Node"]


class Node(Protocol):
    """A node of the builder, and how to connect to it."""

    @property
    def node(self) -> NodeOutput:
        """The node in the builder output."""

    @property
    def pod(self) -> str:
        """The name of the pod that was last connected to; empty before that, and for an address."""

    @property
    def version(self) -> str | None:
        """The BuildKit version of the daemon that was last connected to; None if it is not remembered."""

    def note_version(self, version: str) -> None:
        """Notes the version that the daemon which was last connected to has told."""

    async def dial(self, key: str, deadline: float) -> Connection:
        """As `open`, but returns the byte stream to the daemon. Raises UnreachableError."""

    async def open(self, key: str, deadline: float, avoid: Sequence[str] = (), *, full: bool = False) -> Control:
        """Connects to the daemon that takes the builds of this routing key. Raises UnreachableError.

        Pods named in `avoid` are asked only if there is no other. With `full`, waits in the node's queue for a pod
        that has room. Raises DaemonLost where every pod was lost.
        """

    async def admit(self, control: Control, ref: str) -> bool:
        """Returns whether build `ref`, which has begun there, may stay: False where its pod is at its limit."""

    async def leave(self) -> None:
        """Gives up the place in the node's queue, if there is one."""
