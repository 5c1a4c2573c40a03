"""The daemon's side of a session's content stores, in memory: calls as buildkitd makes them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from buildclient.proto import content_pb2 as pb
from buildclient.session.blobs import Store
from buildclient.session.call import Status
from buildclient.session.content import STORE_HEADER, content
from buildclient.session.varint import decode_varint
from tests.unit.filesync_call import MemoryCall

__all__ = ["ContentDaemon", "sha256"]

_PREFIX = "/containerd.services.content.v1.Content/"


def sha256(data: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class ContentDaemon:
    """Calls the service for some stores; the code of a refusal is in the Status that comes out."""

    def __init__(self, stores: Mapping[str, Store], write_wait: float = 5) -> None:
        self.methods = content(stores, write_wait)

    async def ask(self, method: str, store: str, request: Any = None) -> list[bytes]:
        """The answers of a call with one request; None sends the bytes of an empty one."""
        call = MemoryCall({STORE_HEADER: (store,)} if store else {})
        call.method = _PREFIX + method
        message = request if isinstance(request, bytes) else request.SerializeToString() if request else b""
        call.incoming.put_nowait(message)
        call.incoming.put_nowait(None)
        await self.methods[call.method](call)
        answers = []
        while not call.outgoing.empty():
            answers.append(call.outgoing.get_nowait() or b"")
        return answers

    async def info(self, store: str, digest: str) -> int:
        """The size of a blob."""
        (answer,) = await self.ask("Info", store, pb.InfoRequest(digest=digest))
        return int(pb.InfoResponse.FromString(answer).info.size)

    async def read(self, store: str, digest: str, offset: int = 0, size: int = 0) -> bytes:
        """A blob's bytes."""
        request = pb.ReadContentRequest(digest=digest, offset=offset, size=size)
        found = bytearray()
        for answer in await self.ask("Read", store, request):
            message = Piece.decoded(answer)
            assert message.offset == len(found)
            found += message.data
        return bytes(found)

    def writing(self, store: str) -> Writing:
        """An open write."""
        return Writing(self, store)

    async def write(self, store: str, data: bytes, *, expected: str = "", total: int = -1, ref: str = "r") -> str:
        """Writes a blob as buildkitd does: asks, writes, commits. Returns its digest."""
        expected, total = expected or sha256(data), len(data) if total < 0 else total
        writing = self.writing(store)
        try:
            await writing.send(pb.STAT, ref=ref, total=total, expected=expected)
            await writing.send(pb.WRITE, data=data)
            answer = await writing.send(pb.COMMIT, offset=len(data), total=total, expected=expected)
        finally:
            await writing.close()
        return str(answer.digest)


class Piece:
    """`ReadContentResponse`, whose fields have the numbers 1 and 2."""

    def __init__(self, offset: int, data: bytes) -> None:
        self.offset, self.data = offset, data

    @classmethod
    def decoded(cls, message: bytes) -> Piece:
        """Decodes it by hand, as it is coded by hand."""
        at = offset = 0
        if message[:1] == b"\x08":
            offset, at = decode_varint(message, 1)
        assert message[at] == 0x12
        size, at = decode_varint(message, at + 1)
        assert len(message) - at == size
        return cls(offset, message[at:])


class Writing:
    """One call of Write."""

    def __init__(self, daemon: ContentDaemon, store: str) -> None:
        self.call = MemoryCall({STORE_HEADER: (store,)})
        self.call.method = f"{_PREFIX}Write"
        self.task = asyncio.ensure_future(daemon.methods[self.call.method](self.call))

    async def send(self, action: int, **fields: Any) -> Any:
        """Sends a message; its answer. Raises Status if the call ends instead."""
        self.call.incoming.put_nowait(pb.WriteContentRequest(action=action, **fields).SerializeToString())
        answer = asyncio.ensure_future(self.call.outgoing.get())
        await asyncio.wait({answer, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self.task
            raise Status(-1, "the call ended")
        return pb.WriteContentResponse.FromString(answer.result() or b"")

    async def close(self) -> None:
        """Ends the call as the daemon does."""
        self.call.incoming.put_nowait(None)
        await asyncio.gather(self.task, return_exceptions=True)
