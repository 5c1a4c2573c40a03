"""moby.filesync.v1.FileSend: receives what the daemon exports, as one stream of bytes or as a tree of files.

Reference: session/filesync/filesync.go of BuildKit. `buildkit-attachable-exporter-id` is the
exporter's position in the solve; daemons before 0.13 know only one exporter and send no id.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from buildclient.base.oserrors import reason
from buildclient.results.interfaces import ArchiveReceiver, TreeReceiver, TreeWriter
from buildclient.session import diffcopy
from buildclient.session.call import Call, Code, Service, Status
from buildclient.session.wire import WireError, read_bytes_message

__all__ = ["CLOSE_TIMEOUT", "filesend"]

CLOSE_TIMEOUT = 2.0
"""Seconds to wait for a tree to close: a disk that hangs must not block an interrupted build."""

Receivers = Mapping[int, ArchiveReceiver | TreeReceiver]


def filesend(receivers: Receivers, close_timeout: float = CLOSE_TIMEOUT) -> Service:
    """Returns the service for these receivers, by the exporter's position; `close_timeout` is in seconds."""

    async def diff_copy(call: Call) -> None:
        given = call.metadata.get("buildkit-attachable-exporter-id", ("0",))[0]
        receiver = receivers.get(int(given) if given.isdigit() else -1)
        if receiver is None:
            raise Status(Code.UNKNOWN, f"exporter {given} not found")
        disk = ThreadPoolExecutor(1, "export")
        try:
            if hasattr(receiver, "open"):
                _check_whole(call, cast(TreeReceiver, receiver))
                await _tree(call, cast(TreeReceiver, receiver), disk, close_timeout)
            else:
                await _archive(call, receiver, disk)
        except OSError as error:
            code = Code.RESOURCE_EXHAUSTED if error.errno == errno.ENOSPC else Code.UNKNOWN
            raise Status(code, _words(error)) from None
        except (diffcopy.DiffCopyError, WireError) as error:
            raise Status(Code.UNKNOWN, str(error)) from None
        finally:
            # Not awaited: a pipe that nobody reads would block an interrupted build.
            disk.shutdown(wait=False)

    return {"/moby.filesync.v1.FileSend/DiffCopy": diff_copy}


def _check_whole(call: Call, receiver: TreeReceiver) -> None:
    """Refuses a stream per platform where all else is deleted: daemons before 0.31 do not know `mode=delete`."""
    if receiver.whole and "1" not in call.metadata.get("buildkit-exporter-multi-platform", ()):
        raise Status(
            Code.UNKNOWN,
            "local exporter mode=delete requires a BuildKit daemon with multi-platform local export support",
        )


async def _archive(call: Call, receiver: ArchiveReceiver, disk: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    while messages := await call.read_batch():
        await loop.run_in_executor(disk, receiver.write, [read_bytes_message(message) for message in messages])
    await loop.run_in_executor(disk, receiver.finish)


async def _tree(call: Call, receiver: TreeReceiver, disk: ThreadPoolExecutor, close_timeout: float) -> None:
    loop = asyncio.get_running_loop()
    writer: TreeWriter | None = None
    try:
        writer = await loop.run_in_executor(disk, receiver.open)
        await _received(call, _Receiver(writer), disk)
    except (OSError, diffcopy.DiffCopyError) as error:
        await _refuse(call, _words(error) if isinstance(error, OSError) else str(error), close_timeout)
        raise
    finally:
        if writer is not None:
            # In the writing thread, after whatever it is still writing.
            closing = loop.run_in_executor(disk, writer.close)
            await asyncio.wait([closing], timeout=close_timeout)
            if closing.done():
                closing.result()


async def _received(call: Call, transfer: _Receiver, disk: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    while messages := await call.read_batch():
        answers = await loop.run_in_executor(disk, transfer.feed, messages)
        if answers:
            await call.write_batch(answers)
        if transfer.done:
            # The daemon's FIN ends the stream: fsutil never half-closes.
            return
    raise Status(Code.CANCELLED, "the export ended before its end")


async def _refuse(call: Call, reason: str, timeout: float) -> None:
    """Sends the daemon the reason and waits until it has read it; otherwise its error would be just `EOF`."""
    with contextlib.suppress(Status, TimeoutError):
        async with asyncio.timeout(timeout):
            await call.write(diffcopy.encode_error(reason))
            while await call.read_batch():
                pass


def _words(error: OSError) -> str:
    why = reason(error)
    return f"write {os.fsdecode(error.filename)}: {why}" if isinstance(error.filename, str | bytes) else why


class _Receiver:
    """The receiver's side of DiffCopy, without I/O of its own."""

    def __init__(self, writer: TreeWriter) -> None:
        self._writer = writer
        self._next = 0
        self._open: set[int] = set()
        self._listed = False
        self._fin_sent = False
        self.done = False

    def feed(self, messages: Sequence[bytes]) -> list[bytes]:
        """Takes packets; returns those to send back."""
        answers: list[bytes] = []
        for message in messages:
            packet = diffcopy.decode(message)
            if packet.type == diffcopy.STAT:
                if packet.stat is None:
                    self._listed = True
                else:
                    if self._writer.entry(packet.stat):
                        self._open.add(self._next)
                        answers.append(diffcopy.encode_request(self._next))
                    self._next += 1
            elif packet.type == diffcopy.DATA:
                self._data(packet)
            elif packet.type == diffcopy.ERR:
                # The daemon sent the error itself.
                raise Status(Code.UNKNOWN, packet.data.decode(errors="replace"))
            elif packet.type == diffcopy.FIN_TYPE:
                self.done = True
        if self._listed and not self._open and not self._fin_sent:
            self._writer.finish()
            answers.append(diffcopy.FIN)
            self._fin_sent = True
        return answers

    def _data(self, packet: diffcopy.Packet) -> None:
        if packet.id not in self._open:
            raise diffcopy.DiffCopyError(f"the daemon sent content of file {packet.id}, which was not asked for")
        self._writer.data(packet.id, packet.data)
        if not packet.data:
            self._open.discard(packet.id)
