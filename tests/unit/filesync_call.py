"""A session's call in memory: what the daemon says is put in, what the handler answers is read out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from buildclient.session.call import Code, Status

__all__ = ["MemoryCall", "joined"]


class MemoryCall:
    """Fulfils `buildclient.session.call.Call`; `peer` holds queues of messages from and to the daemon."""

    def __init__(
        self,
        metadata: Mapping[str, tuple[str, ...]] | None = None,
        incoming: asyncio.Queue[bytes | None] | None = None,
        outgoing: asyncio.Queue[bytes | None] | None = None,
    ) -> None:
        self.method = "/moby.filesync.v1.FileSync/DiffCopy"
        self.metadata = dict(metadata or {})
        self.incoming: asyncio.Queue[bytes | None] = incoming or asyncio.Queue()
        self.outgoing: asyncio.Queue[bytes | None] = outgoing or asyncio.Queue()

    async def read(self) -> bytes | None:
        return await self.incoming.get()

    async def read_batch(self) -> list[bytes]:
        found = []
        while True:
            message = await self.incoming.get()
            if message is None:
                self.incoming.put_nowait(None)
                return found
            found.append(message)
            if self.incoming.empty():
                return found

    async def write(self, *parts: bytes | memoryview) -> None:
        self.outgoing.put_nowait(b"".join(parts))
        await asyncio.sleep(0)

    async def write_batch(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self.outgoing.put_nowait(bytes(message))
        await asyncio.sleep(0)

    async def said(self, timeout: float = 5) -> bytes:
        """The handler's next message."""
        message = await asyncio.wait_for(self.outgoing.get(), timeout)
        if message is None:
            raise Status(Code.CANCELLED, "the handler ended")
        return message


def joined(
    one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[MemoryCall, MemoryCall]:
    """Two calls, each other's peer: what one handler writes the other reads."""
    there: asyncio.Queue[bytes | None] = asyncio.Queue()
    back: asyncio.Queue[bytes | None] = asyncio.Queue()
    return MemoryCall(one, back, there), MemoryCall(other, there, back)
