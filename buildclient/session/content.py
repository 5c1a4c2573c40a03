"""containerd.services.content.v1.Content: the daemon reads and writes blobs of OCI layouts on the client.

One service for all stores of a build: `buildkit-attachable-store-id` says which is meant, `local:<dir>` for a local
cache, `oci:<name>` for a named context, `export` for a result that is not an archive. Reference: session/content of
BuildKit, and containerd's contentserver, whose codes and messages are kept: BuildKit acts on them.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from buildclient.base.digests import Digest, parse_digest
from buildclient.base.oserrors import reason
from buildclient.proto import content_pb2 as pb
from buildclient.session.blobs import Blob, Store
from buildclient.session.call import Call, Code, Service, Status
from buildclient.session.ingest import Ingest, State
from buildclient.session.varint import encode_varint
from buildclient.session.writable import NodeStore

__all__ = ["STORE_HEADER", "content"]

STORE_HEADER = "buildkit-attachable-store-id"
_PREFIX = "/containerd.services.content.v1.Content/"
_CHUNK = 256 << 10
"""Bytes of a blob in one message: several blobs are read at the same time, and each call's queue is bounded."""
_WRITE_WAIT = 10.0
"""Seconds for which a write waits for another one of the same blob, such as another node's."""
_POLL = 0.05
_M = TypeVar("_M", bound=Message)
_T = TypeVar("_T")


def content(stores: Mapping[str, Store], write_wait: float = _WRITE_WAIT) -> Service:
    """Returns the service for these stores, by id; `write_wait` is in seconds."""
    service = _Content(stores, write_wait)
    return {
        f"{_PREFIX}Info": service.info,
        f"{_PREFIX}Read": service.read,
        f"{_PREFIX}Write": service.write,
        f"{_PREFIX}Status": service.status,
        f"{_PREFIX}ListStatuses": service.list_statuses,
        f"{_PREFIX}Abort": service.abort,
        # BuildKit calls none of these. A list would tell what else is in the folder.
        **{f"{_PREFIX}{method}": _refuse for method in ("List", "Update", "Delete")},
    }


async def _refuse(call: Call) -> None:
    method = call.method.rpartition("/")[2]
    raise Status(Code.FAILED_PRECONDITION, f"this client's content stores do not serve {method}")


class _Content:
    def __init__(self, stores: Mapping[str, Store], write_wait: float) -> None:
        self._stores = stores
        self._write_wait = write_wait

    async def info(self, call: Call) -> None:
        store = self._choose(call)
        digest = _digest((await _request(call, pb.InfoRequest)).digest)
        blob = await _thread(store.open, digest)
        if blob is None:
            raise Status(Code.NOT_FOUND, f"content {digest}: not found")
        os.close(blob.handle)
        time = _time(blob.mtime_ns / 1e9)
        info = pb.Info(digest=str(digest), size=blob.size, created_at=time, updated_at=time)
        await _answer(call, pb.InfoResponse(info=info))

    async def read(self, call: Call) -> None:
        store = self._choose(call)
        request = await _request(call, pb.ReadContentRequest)
        digest = _digest(request.digest)
        blob = await _thread(store.open, digest)
        if blob is None:
            raise Status(Code.NOT_FOUND, f"content {digest}: not found")
        try:
            await _send(call, blob, max(0, request.offset), request.size)
        finally:
            os.close(blob.handle)

    async def write(self, call: Call) -> None:
        store = self._choose(call)
        request = await _request(call, pb.WriteContentRequest)
        if not request.ref:
            raise Status(Code.INVALID_ARGUMENT, "first message must have a reference")
        expected = _digest(request.expected) if request.expected else None
        disk = ThreadPoolExecutor(1, "content")
        begun: list[Ingest] = []
        try:
            await self._begin(lambda: begun.append(store.begin(request.ref, max(0, request.total), expected)), disk)
            await _written(call, request, begun[0], disk, store)
        finally:
            # After whatever the thread is doing; a disk that hangs does not block an interrupted build.
            disk.submit(_discard, begun)
            disk.shutdown(wait=False)

    async def status(self, call: Call) -> None:
        store = self._choose(call)
        ref = (await _request(call, pb.StatusRequest)).ref
        for state in await _thread(store.states):
            if state.ref == ref:
                await _answer(call, pb.StatusResponse(status=_state(state)))
                return
        raise Status(Code.NOT_FOUND, f"could not get status for ref: {ref}: not found")

    async def list_statuses(self, call: Call) -> None:
        store = self._choose(call)
        await call.read()
        states = await _thread(store.states)
        await _answer(call, pb.ListStatusesResponse(statuses=[_state(state) for state in states]))

    async def abort(self, call: Call) -> None:
        """Nothing is left of a write whose call has ended, and one that goes on is its caller's to end."""
        self._choose(call)
        ref = (await _request(call, pb.AbortRequest)).ref
        raise Status(Code.NOT_FOUND, f"ingest ref: {ref}: not found")

    def _choose(self, call: Call) -> Store:
        given = call.metadata.get(STORE_HEADER)
        if not given:
            raise Status(Code.INVALID_ARGUMENT, f"request lacks metadata {STORE_HEADER}: invalid argument")
        store = self._stores.get(given[0])
        if store is None:
            raise Status(Code.NOT_FOUND, f"unknown store {given[0]}: not found")
        return store

    async def _begin(self, begin: Callable[[], None], disk: ThreadPoolExecutor) -> None:
        """Starts a write; waits a little for another one of the same name, which the daemon would ask for again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._write_wait
        while True:
            try:
                await _on_disk(loop.run_in_executor(disk, begin))
                return
            except Status as status:
                if status.code != Code.UNAVAILABLE or loop.time() > deadline:
                    raise
            await asyncio.sleep(_POLL)


def _discard(begun: list[Ingest]) -> None:
    for ingest in begun:
        ingest.discard()


async def _send(call: Call, blob: Blob, offset: int, size: int) -> None:
    """Sends a range of a blob; like containerd, all that follows for a size of 0 or one beyond the end."""
    if offset > blob.size:
        raise Status(Code.OUT_OF_RANGE, f"read past object length {blob.size} bytes")
    end = blob.size if size <= 0 else min(blob.size, offset + size)
    start = at = offset
    while at < end:
        piece = await _thread(os.pread, blob.handle, min(_CHUNK, end - at), at)
        if not piece:
            raise Status(Code.UNKNOWN, "the blob became shorter while it was read")
        await call.write(*_read_response(at - start, piece))
        at += len(piece)


def _read_response(offset: int, data: bytes) -> tuple[bytes, bytes]:
    """Returns a ReadContentResponse in two parts, so that the data is not copied: `data` is its last field."""
    head = b"\x08" + encode_varint(offset) if offset else b""
    return head + b"\x12" + encode_varint(len(data)), data


async def _written(call: Call, request: Any, ingest: Ingest, disk: ThreadPoolExecutor, store: Store) -> None:
    """Answers each message of a write until it is committed, or the daemon gives it up."""
    loop = asyncio.get_running_loop()
    while True:
        response = await _on_disk(loop.run_in_executor(disk, _step, ingest, request))
        if request.action == pb.COMMIT and isinstance(store, NodeStore):
            store.note(parse_digest(response.digest))
        await _answer(call, response)
        if request.action == pb.COMMIT:
            return
        message = await call.read()
        if message is None:
            return
        request = _decoded(pb.WriteContentRequest, message)


def _step(ingest: Ingest, request: Any) -> Any:
    """Does what one message of a write asks for; called in a thread."""
    state = ingest.state
    response = pb.WriteContentResponse(action=request.action, offset=state.offset)
    if request.action == pb.STAT:
        response.digest, response.total = ingest.digest, state.total
        response.started_at.CopyFrom(_time(state.started))
        return response
    if request.action not in (pb.WRITE, pb.COMMIT):
        raise Status(Code.INVALID_ARGUMENT, f"unknown action {request.action}")
    if request.offset != state.offset:
        if request.offset:
            problem = f"write @{request.offset} must occur at current offset {state.offset}"
            raise Status(Code.OUT_OF_RANGE, problem)
        ingest.restart()
    if request.data:
        ingest.write(request.data)
    response.offset = ingest.state.offset
    if request.action == pb.COMMIT:
        expected = _digest(request.expected) if request.expected else None
        response.digest = str(ingest.finish(max(0, request.total), expected))
    else:
        response.digest = ingest.digest
    return response


async def _thread(work: Callable[..., _T], *arguments: Any) -> _T:
    return await _on_disk(asyncio.to_thread(work, *arguments))


async def _on_disk(work: Awaitable[_T]) -> _T:
    try:
        return await work
    except OSError as error:
        code = Code.RESOURCE_EXHAUSTED if error.errno in (errno.ENOSPC, errno.EDQUOT) else Code.UNKNOWN
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        raise Status(code, f"{where}{reason(error)}") from None


async def _request(call: Call, kind: type[_M]) -> Any:
    message = await call.read()
    if message is None:
        raise Status(Code.INVALID_ARGUMENT, "the call came without a request")
    return _decoded(kind, message)


def _decoded(kind: type[_M], message: bytes) -> Any:
    try:
        return kind.FromString(message)
    except DecodeError:
        raise Status(Code.INVALID_ARGUMENT, f"not a {kind.DESCRIPTOR.name}") from None


async def _answer(call: Call, message: Message) -> None:
    await call.write(message.SerializeToString())


def _digest(text: str) -> Digest:
    try:
        return parse_digest(text)
    except ValueError as error:
        raise Status(Code.INVALID_ARGUMENT, f"{text[:200]}: {error}") from None


def _state(state: State) -> Any:
    started = _time(state.started)
    return pb.Status(
        started_at=started,
        updated_at=started,
        ref=state.ref,
        offset=state.offset,
        total=state.total,
        expected=state.expected,
    )


def _time(seconds: float) -> Any:
    return pb.Time(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
