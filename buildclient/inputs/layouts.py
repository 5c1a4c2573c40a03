"""Inputs that lie in OCI layouts on the client: named contexts `oci-layout://…`, and local caches.

Reference: util/ocilayout and loadInputs of buildx 0.38, parseCacheOptions of BuildKit's client; with their messages.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from buildclient.base.digests import parse_digest
from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted
from buildclient.base.ociindex import named, single
from buildclient.base.ocilayout import LayoutError, open_layout, read_layout
from buildclient.base.oserrors import reason
from buildclient.contract.patterns import pattern
from buildclient.request.localcache import LocalImport, import_entry, local_import, store_id
from buildclient.request.solve import CacheEntry
from buildclient.session.blobs import Blobs

__all__ = ["PREFIX", "LayoutContext", "LocalCaches", "layout_context", "local_caches", "parse_layout"]

PREFIX = "oci-layout://"
# The patterns of distribution/reference, which buildx searches for, not matches.
_DIGEST = pattern(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_TAG = pattern(r"[A-Za-z0-9_]")
_MAX_MANIFESTS = 64
"""Manifests of one tag: one for each node that exported it."""


class LayoutContext(NamedTuple):
    """A named context in a layout."""

    attr: str
    """The value of the attribute `context:NAME`."""
    store: str
    """The id of its store in the session."""
    blobs: Blobs


class LocalCaches(NamedTuple):
    """The caches to import, the local ones found."""

    entries: tuple[CacheEntry, ...]
    stores: dict[str, Blobs]
    """By their ids in the session."""
    skipped: tuple[str, ...]
    """Why others are left out, a line each."""


def parse_layout(text: str) -> tuple[str, str, str]:
    """Returns path, tag and digest of `oci-layout://PATH[:TAG][@DIGEST]`; without both, the tag is `latest`.

    Raises InvalidBuild.
    """
    path, tag, digest = text.removeprefix(PREFIX), "", ""
    before, at, after = path.rpartition("@")
    if at and _DIGEST.search(after):
        try:
            digest, path = str(parse_digest(after)), before
        except ValueError as error:
            raise InvalidBuild(str(error)) from None
    before, colon, after = path.rpartition(":")
    if colon and _TAG.search(after):
        path, tag = before, after
    return path, tag or ("" if digest else "latest"), digest


def layout_context(text: str, stack: contextlib.ExitStack) -> LayoutContext:
    """Opens the layout of a named context, which `stack` closes; the digest of a tag is looked up here.

    Raises InvalidBuild.
    """
    path, tag, digest = parse_layout(text)
    try:
        folder = open_layout(path)
        stack.callback(os.close, folder)
        if not digest:
            index = read_layout(folder, path)
            found = [*named(index, tag), single(index)][0]
            if found is None:
                raise LayoutError("failed to resolve digest")
            digest = found["digest"]
    except LayoutError as error:
        raise InvalidBuild(f"oci-layout reference {go_quoted(text)} could not be resolved: {error}") from None
    blobs = Blobs(folder)
    stack.callback(blobs.close)
    name = secrets.token_hex(13)
    return LayoutContext(f"{PREFIX}{name}{f':{tag}' if tag else ''}@{digest}", f"oci:{name}", blobs)


def local_caches(entries: Iterable[CacheEntry], stack: contextlib.ExitStack) -> LocalCaches:
    """Finds the manifests of local caches to import, in folders that `stack` closes.

    What cannot be found is left out, as by docker buildx. Raises InvalidBuild for an entry that names none.
    """
    kept: list[CacheEntry] = []
    stores: dict[str, Blobs] = {}
    skipped: list[str] = []
    for entry in entries:
        if entry.type != "local":
            kept.append(entry)
            continue
        wanted = local_import(entry)
        try:
            blobs, digests = _found(wanted, stack)
        except (LayoutError, OSError) as error:
            told = f" due to err: {reason(error)}" if isinstance(error, OSError) else error
            skipped.append(f"local cache import at {wanted.src} skipped{told}")
            continue
        stores[store_id(wanted.src)] = blobs
        kept.extend(import_entry(entry, digest) for digest in digests)
    return LocalCaches(tuple(kept), stores, tuple(skipped))


def _found(wanted: LocalImport, stack: contextlib.ExitStack) -> tuple[Blobs, list[str]]:
    """Returns a cache's store and manifests. Raises LayoutError: the end of the line that says why there is none."""
    try:
        if not os.path.exists(wanted.src):
            # docker buildx makes the folder, and then finds no index in it.
            index = os.path.join(wanted.src, "index.json")
            raise LayoutError(f"could not read {index}: open {index}: no such file or directory")
        folder = open_layout(wanted.src)
        stack.callback(os.close, folder)
        digests = [wanted.digest]
        if not wanted.digest:
            digests = [one["digest"] for one in named(read_layout(folder, wanted.src), wanted.tag)][:_MAX_MANIFESTS]
    except LayoutError as error:
        raise LayoutError(f" due to err: {error}") from None
    if not digests:
        raise LayoutError(f": no digest found for tag {wanted.tag}")
    blobs = Blobs(folder)
    stack.callback(blobs.close)
    for digest in digests:
        try:
            blob = blobs.open(parse_digest(digest))
        except ValueError as error:
            raise LayoutError(f": digest {digest} unavailable: {error}") from None
        if blob is None:
            raise LayoutError(f": digest {digest} unavailable: content {digest}: not found")
        os.close(blob.handle)
    return blobs, list(dict.fromkeys(digests))
