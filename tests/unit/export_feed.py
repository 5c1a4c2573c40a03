"""A daemon that exports a tree: its entries go to our receiver, and each content that is asked for has one byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from buildclient.results.filesend import filesend
from buildclient.results.tree import Tree
from buildclient.session import diffcopy
from buildclient.session.diffcopy import decode
from tests.unit.filesync_call import MemoryCall

__all__ = ["SEND", "feed", "file", "folder", "link"]

SEND = "/moby.filesync.v1.FileSend/DiffCopy"


async def feed(
    dest: Path | Tree, *stats: bytes, contents: bool = True, metadata: Mapping[str, tuple[str, ...]] | None = None
) -> MemoryCall:
    """Plays a daemon that sends these STATs, and one byte for each file that is asked for."""
    call = MemoryCall(metadata)
    tree = dest if isinstance(dest, Tree) else Tree(str(dest))
    for stat in stats:
        call.incoming.put_nowait(stat)
    call.incoming.put_nowait(diffcopy.END_OF_STATS)
    task = asyncio.ensure_future(filesend({0: tree})[SEND](call))
    try:
        while not task.done():
            try:
                packet = decode(await call.said(1))
            except TimeoutError:
                break
            if packet.type == diffcopy.REQ:
                call.incoming.put_nowait(diffcopy.data_head(packet.id, 1) + b"x")
                if contents:
                    call.incoming.put_nowait(diffcopy.encode_data_end(packet.id))
            elif packet.type == diffcopy.FIN_TYPE:
                call.incoming.put_nowait(diffcopy.FIN)
                break
    finally:
        call.incoming.put_nowait(None)
        await asyncio.wait_for(task, 5)
    return call


def file(path: bytes, **more: int) -> bytes:
    return diffcopy.encode_stat(path, more.get("mode", 0o644), 1, more.get("mtime", 1))


def folder(path: bytes) -> bytes:
    return diffcopy.encode_stat(path, diffcopy.GO_DIR | 0o755, 0, 1)


def link(path: bytes, target: bytes) -> bytes:
    return diffcopy.encode_stat(path, diffcopy.GO_SYMLINK | 0o777, len(target), 1, target)
