"""The entries of `--cache-to` and `--cache-from` with `type=local`: a folder of the client that is an OCI layout.

Reference: parseCacheOptions of BuildKit's client (client/solve.go), with its messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_quoted, is_bool, parse_bool
from buildclient.contract.patterns import pattern
from buildclient.request.flagtext import flagged
from buildclient.request.solve import CacheEntry

__all__ = [
    "LocalExport",
    "LocalImport",
    "check_local",
    "export_entry",
    "import_entry",
    "local_export",
    "local_import",
    "store_id",
]

# gRPC's metadata are printable ASCII, and lose spaces at either end.
_PLAIN = pattern(r"(?! )[\x20-\x7e]+(?<! )")
_DEFAULT_TAG = "latest"


class LocalExport(NamedTuple):
    """Where a cache is written."""

    dest: str
    tag: str = _DEFAULT_TAG
    reset: bool = False
    """Whether blobs that the index does not reach are deleted afterwards."""


class LocalImport(NamedTuple):
    """Where a cache is read from: by digest, else by tag."""

    src: str
    tag: str = _DEFAULT_TAG
    digest: str = ""


def local_export(entry: CacheEntry) -> LocalExport:
    """Reads the attributes of an export. Raises InvalidBuild."""
    dest, reset = entry.attrs.get("dest", ""), entry.attrs.get("reset", "false")
    if not dest:
        raise InvalidBuild("local cache exporter requires dest")
    if not is_bool(reset):
        problem = f"strconv.ParseBool: parsing {go_quoted(reset)}: invalid syntax"
        raise InvalidBuild(f"failed to parse reset attribute: {problem}")
    return LocalExport(dest, entry.attrs.get("tag", _DEFAULT_TAG), parse_bool(reset))


def local_import(entry: CacheEntry) -> LocalImport:
    """Reads the attributes of an import. Raises InvalidBuild."""
    src, tag, digest = (entry.attrs.get(name, default) for name, default in LocalImport("")._asdict().items())
    if not src:
        raise InvalidBuild("local cache importer requires src")
    if not digest and not tag:
        raise InvalidBuild(
            'local cache importer requires either explicit digest, "latest" tag or custom tag on index.json'
        )
    return LocalImport(src, tag, digest)


def check_local(exports: Iterable[CacheEntry], imports: Iterable[CacheEntry]) -> None:
    """Checks those of the entries that are local. Raises InvalidBuild."""
    with flagged("--cache-to"):
        for entry in exports:
            if entry.type == "local":
                local_export(entry)
    with flagged("--cache-from"):
        for entry in imports:
            if entry.type == "local":
                local_import(entry)


def store_id(folder: str) -> str:
    """Returns the id of a folder's store in the session, which the daemon makes of the folder's name in the solve."""
    return f"local:{_sent(folder)}"


def export_entry(entry: CacheEntry) -> CacheEntry:
    """Returns the entry as it is sent: a name that no gRPC metadata can hold is encoded."""
    return _encoded(entry, "dest")


def import_entry(entry: CacheEntry, digest: str) -> CacheEntry:
    """Returns the entry of one manifest as it is sent."""
    return _encoded(entry._replace(attrs={**entry.attrs, "digest": digest}), "src")


def _encoded(entry: CacheEntry, name: str) -> CacheEntry:
    folder = entry.attrs.get(name, "")
    sent = _sent(folder)
    return entry if sent == folder else entry._replace(attrs={**entry.attrs, name: sent})


def _sent(folder: str) -> str:
    return folder if _PLAIN.fullmatch(folder) else quote(folder, errors="surrogateescape")
