"""What the commit steps share whose results come through the session's content store (`results/storesteps.py`).

The daemon writes blobs (`buildclient.session.writable`); once every node has answered, they are published and the
layout's index names them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from buildclient.base.digests import Digest, parse_digest
from buildclient.base.errors import BuildFailed, ClientError, InvalidBuild
from buildclient.base.ociindex import read_descriptor
from buildclient.base.ocilayout import LayoutError, open_layout, read_layout
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.session.writable import NodeStore, WritableStore

__all__ = [
    "MAX_MANIFEST",
    "StoreWriter",
    "check_index",
    "decoded_descriptor",
    "in_thread",
    "read_blob",
    "root_of",
]

MAX_MANIFEST = 16 << 20
"""Bytes of a manifest or an index that the client reads."""
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_T = TypeVar("_T")


class StoreWriter:
    """A folder that nodes write blobs into. Nothing is opened before the first node asks for its store."""

    def __init__(self, path: str, opened: Callable[[int], None] | None = None) -> None:
        self.path = path
        self._opened = opened
        self._store: WritableStore | None = None
        self._nodes: dict[int, NodeStore] = {}
        self._lost: set[Digest] = set()
        """Blobs of solves that ended before their end."""
        self.published = False

    @property
    def store(self) -> WritableStore:
        """The folder's store. Raises ClientError."""
        if self._store is None:
            try:
                self._store = WritableStore(self.path, self._opened)
            except OSError as error:
                raise ClientError(f"write {self.path}: {reason(error)}") from None
        return self._store

    def of_node(self, node: int) -> NodeStore:
        """Returns the store as a node sees it, the same one each time. Raises ClientError."""
        if node not in self._nodes:
            self._nodes[node] = self.store.of_node()
        return self._nodes[node]

    def restart(self, node: int) -> None:
        """Forgets which blobs a node named: its solve is begun anew."""
        if before := self._nodes.pop(node, None):
            self._lost |= before.named

    def drop_lost(self) -> None:
        """Removes blobs that wait and that no solve named which came to its end. Raises OSError."""
        for digest in self._lost.difference(*(node.named for node in self._nodes.values())):
            self.store.drop(digest)
        self._lost.clear()

    def close(self) -> None:
        """Removes what is not published; may be called twice, and in any thread."""
        if self._store is not None:
            self._store.close(published=self.published)


async def in_thread(work: Callable[[], _T], abort: Callable[[], None], path: str) -> _T:
    """Runs work on the disk in a thread. When cancelled, aborts and waits for the thread, so that nothing follows it.

    Raises ClientError for what goes wrong with the folder `path`.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        # Not `shield`, which writes a traceback for what the thread raises after a cancellation (Python 3.14).
        await asyncio.wait({running})
    except asyncio.CancelledError:
        abort()
        await asyncio.gather(running, return_exceptions=True)
        raise
    try:
        return running.result()
    except LayoutError as error:
        raise ClientError(str(error)) from None
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else path
        raise ClientError(f"write {where}: {reason(error)}") from None


def check_index(path: str) -> None:
    """Checks an index that is there already: a build would fail at its end. Raises InvalidBuild."""
    if not os.path.lexists(os.path.join(path, "index.json")):
        return
    try:
        folder = open_layout(path)
        try:
            read_layout(folder, path)
        finally:
            os.close(folder)
    except LayoutError as error:
        raise InvalidBuild(str(error)) from None


def decoded_descriptor(text: str, *, encoded: bool) -> dict[str, Any]:
    """Returns the descriptor in a daemon's response, JSON or JSON in base64. Raises BuildFailed."""
    try:
        return read_descriptor(read_json(base64.b64decode(text, validate=True) if encoded else text))
    except (ValueError, binascii.Error) as error:
        raise BuildFailed(f"the daemon answered with a descriptor that cannot be read: {error}") from None


def root_of(node: NodeStore, descriptor: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the descriptor of what a node exported into a store; None if it wrote nothing.

    Several exporters, or cache exporters, answer under one name, and the last one's answer counts. Where that is about
    another one's manifest, it is the last blob that came into this store. Raises BuildFailed, OSError.
    """
    if parse_digest(descriptor["digest"]) in node.named:
        return descriptor
    if node.last is None:
        return None
    data = read_blob(node, node.last)
    try:
        media_type = read_json(data).get("mediaType") or _MANIFEST
    except (ValueError, AttributeError):
        raise BuildFailed(f"the last blob of an export, {node.last}, is not a manifest") from None
    notes = {"annotations": descriptor["annotations"]} if descriptor.get("annotations") else {}
    return {"mediaType": str(media_type), "digest": str(node.last), "size": len(data), **notes}


def read_blob(store: NodeStore | WritableStore, digest: Digest) -> bytes:
    """Returns a manifest's bytes, checked. Raises BuildFailed, OSError."""
    blob = store.open(digest)
    if blob is None:
        raise BuildFailed(f"the daemon did not write {digest}, which its answer names")
    with open(blob.handle, "rb") as file:
        data = file.read(MAX_MANIFEST + 1)
    hasher = digest.hasher()
    hasher.update(data)
    if len(data) > MAX_MANIFEST or hasher.hexdigest() != digest.encoded:
        raise BuildFailed(f"the content of {digest} is not a manifest of that digest")
    return data
