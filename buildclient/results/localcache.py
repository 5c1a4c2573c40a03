"""The commit step of `--cache-to type=local`: the cache's blobs and its place in the folder's index.

With several nodes the index names each node's manifest under the tag, in the nodes' order; `--cache-from` imports all
of them. docker buildx writes what its last node answered. `cache.lock` is the lock that docker buildx takes: shared by
exports, exclusive while `reset` deletes. Reference: cacheExportStore and resetCacheStore of BuildKit (client/solve.go).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat as st
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildclient.base.digests import Digest, parse_digest
from buildclient.base.errors import ClientError, InvalidBuild
from buildclient.base.folders import DIRECTORY
from buildclient.base.ociindex import tag_name
from buildclient.base.ocilayout import LayoutError, put_in_index, read_layout
from buildclient.base.oserrors import reason
from buildclient.contract.jsontext import read_json
from buildclient.progress.events import EventSink
from buildclient.progress.steps import client_step
from buildclient.request.localcache import LocalExport, store_id
from buildclient.request.values import NodeResult
from buildclient.results.stores import MAX_MANIFEST, StoreWriter, check_index, decoded_descriptor, in_thread, root_of
from buildclient.session.blobs import Blobs, Store
from buildclient.session.call import Service

__all__ = ["LOCK_TIMEOUT", "LocalCacheExport", "unreferenced"]

LOCK_TIMEOUT = 60.0
"""Seconds for which an export waits while another build resets the folder."""
_LOCK = "cache.lock"
_POLL = 0.1
_PARENTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Media types of what names other blobs."""


class LocalCacheExport:
    """One folder that all nodes export their cache into; implements CommitStep."""

    def __init__(self, export: LocalExport, sink: EventSink) -> None:
        """Raises InvalidBuild if the folder cannot be one."""
        self._export = export
        self._sink = sink
        self._lock = -1
        self._aborted = False
        self._writer = StoreWriter(export.dest, self._take_lock)
        self._manifests: list[Mapping[str, Any]] = []
        _check_folder(export.dest)
        check_index(export.dest)

    def services(self, node: int) -> Sequence[Service]:
        """Returns no services: a store is served with the others."""
        return ()

    def stores(self, node: int) -> Mapping[str, Store]:
        """Returns the folder's store."""
        return {store_id(self._export.dest): self._writer.of_node(node)}

    def final(self) -> str:
        """Returns nothing: blobs wait until all are there."""
        return ""

    def restart(self, node: int) -> None:
        """Forgets which blobs a node named."""
        self._writer.restart(node)

    async def stage(self, results: Sequence[NodeResult]) -> None:
        """Finds each node's manifest. A node that found nothing to export names none, and so does one that was told to
        ignore errors.
        """
        await in_thread(lambda: self._find(results), self.abort, self._export.dest)

    async def commit(self) -> None:
        """Publishes the blobs, then the index, then deletes what nothing names if that is asked for."""
        if not self._manifests:
            return
        await in_thread(self._publish, self.abort, self._export.dest)
        if self._export.reset:
            # The cache is written by then: what cannot be deleted is shown as a failed step, and no more.
            with contextlib.suppress(ClientError):
                async with client_step(self._sink, f"resetting local cache {self._export.dest}"):
                    await in_thread(self._reset, self.abort, self._export.dest)

    def abort(self) -> None:
        """Removes blobs that are not published, and gives up the lock."""
        self._aborted = True
        self._writer.close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _find(self, results: Sequence[NodeResult]) -> None:
        self._writer.drop_lost()
        for number, result in enumerate(results):
            text = result.response.get("cache.manifest")
            manifest = root_of(self._writer.of_node(number), decoded_descriptor(text, encoded=False)) if text else None
            if manifest is not None and manifest not in self._manifests:
                self._manifests.append(manifest)

    def _publish(self) -> None:
        store = self._writer.store
        store.publish()
        put_in_index(store.folder, self._export.dest, self._manifests, [tag_name(self._export.tag)])
        self._writer.published = True

    def _take_lock(self, folder: int) -> None:
        """Takes the lock that keeps another build's reset away."""
        path = os.path.join(self._export.dest, _LOCK)
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        deadline = time.monotonic() + LOCK_TIMEOUT
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                if self._aborted:
                    # `abort` waits for this thread.
                    raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED), path)
                if time.monotonic() > deadline:
                    raise OSError(errno.EBUSY, "another build has been resetting it for a minute", path)
                time.sleep(_POLL)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _reset(self) -> None:
        """Deletes what the index does not reach. Not done while another build exports into the folder."""
        folder, dest = self._writer.store.folder, self._export.dest
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LayoutError(f"reset of {dest}: cache store is in use, skipping cleanup") from None
        for digest in unreferenced(folder, dest):
            with contextlib.suppress(FileNotFoundError), _algorithm(folder, digest.algorithm) as blobs:
                os.unlink(digest.encoded, dir_fd=blobs)


def unreferenced(folder: int, path: str) -> list[Digest]:
    """Returns the blobs of a layout that its index does not reach. Raises LayoutError, also where one is missing."""
    blobs = Blobs(folder)
    reached: set[str] = set()
    waiting = list(read_layout(folder, path)["manifests"])
    while waiting:
        descriptor = waiting.pop()
        if descriptor["digest"] in reached:
            continue
        reached.add(descriptor["digest"])
        if descriptor.get("mediaType") in _PARENTS:
            waiting.extend(_children(blobs, parse_digest(descriptor["digest"]), path))
    return [digest for digest in _listed(folder) if str(digest) not in reached]


def _children(blobs: Blobs, digest: Digest, path: str) -> list[Mapping[str, Any]]:
    blob = blobs.open(digest)
    if blob is None:
        raise LayoutError(f"reset of {path}: content {digest}: not found")
    with open(blob.handle, "rb") as file:
        data = file.read(MAX_MANIFEST + 1)
    try:
        manifest = read_json(data, size=MAX_MANIFEST)
        named = [manifest.get("config"), *(manifest.get("layers") or []), *(manifest.get("manifests") or [])]
        found = [one for one in named if one is not None]
        for one in found:
            parse_digest(one["digest"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise LayoutError(f"reset of {path}: {digest} is not a manifest") from None
    return found


def _listed(folder: int) -> list[Digest]:
    found = []
    for algorithm in ("sha256", "sha384", "sha512"):
        with contextlib.suppress(FileNotFoundError), _algorithm(folder, algorithm) as blobs:
            for name in os.listdir(blobs):
                with contextlib.suppress(ValueError):
                    found.append(parse_digest(f"{algorithm}:{name}"))
    return found


@contextlib.contextmanager
def _algorithm(folder: int, algorithm: str) -> Iterator[int]:
    above = os.open("blobs", DIRECTORY, dir_fd=folder)
    try:
        handle = os.open(algorithm, DIRECTORY, dir_fd=above)
    finally:
        os.close(above)
    try:
        yield handle
    finally:
        os.close(handle)


def _check_folder(path: str) -> None:
    """Raises InvalidBuild where the folder, or one above it, is something else; in the words of Go's MkdirAll."""
    here = path
    while here:
        try:
            if not st.S_ISDIR(os.stat(here).st_mode):
                raise InvalidBuild(f"mkdir {here}: not a directory")
            return
        except (FileNotFoundError, NotADirectoryError):
            here = os.path.dirname(here.rstrip("/"))
        except OSError as error:
            raise InvalidBuild(f"mkdir {here}: {reason(error)}") from None
