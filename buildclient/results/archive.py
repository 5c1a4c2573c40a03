"""Merges the archives of several nodes: OCI layouts into one layout with one index, tars into one tar.

The result has the bytes that one node would send for all platforms, if it built the same; which node sends what, and
when, makes no difference. Nothing is held in memory but the names of blobs and the JSON.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from buildclient.base.errors import BuildFailed
from buildclient.base.gotext import go_json
from buildclient.contract.platform import Platform
from buildclient.registry.merge import OCI_INDEX, digest_of, merge_sources
from buildclient.results.layout import Layout, digest_path, hasher
from buildclient.results.tarscan import BLOCK, Entry, entries, padded

__all__ = ["merge_oci", "merge_tars"]

_CHUNK = 1 << 20
_MAX_FOLDERS = 10_000
_LONGEST_NAME = 4096
"""Bytes of a folder's name: each is kept."""
_REFERENCE = "vnd.docker.reference.digest"
_OCTAL_SIZE = 1 << 33
"""From this size on, a header needs an extension."""


def merge_tars(parts: Sequence[BinaryIO], out: BinaryIO) -> None:
    """Writes the folders of several tars as one tar, sorted by name as BuildKit sorts them.

    Raises BuildFailed for an invalid tar, and for two nodes that send the same folder.
    """
    runs: list[tuple[bytes, int, int, int]] = []
    owners: dict[bytes, int] = {}
    for number, part in enumerate(parts):
        start = end = 0
        folder = None
        try:
            for entry in entries(part, part.seek(0, os.SEEK_END)):
                name = entry.name.removeprefix(b"./").lstrip(b"/").split(b"/", 1)[0]
                if len(name) > _LONGEST_NAME:
                    raise tarfile.ReadError(f"a name of {len(name)} bytes")
                if name != folder and folder is not None:
                    runs.append((folder, number, start, end))
                    start = entry.start
                folder, end = name, entry.end
                if owners.setdefault(name, number) != number:
                    raise BuildFailed(f"two nodes sent {name.decode(errors='replace')} for one tar")
                if len(runs) > _MAX_FOLDERS:
                    raise tarfile.ReadError("too many folders")
        except tarfile.TarError as error:
            raise BuildFailed(f"a node sent an archive that cannot be read: {error}") from None
        if folder is not None:
            runs.append((folder, number, start, end))
    # The sort is stable: of a folder that comes in several runs the order stays.
    for _, number, start, end in sorted(runs, key=lambda run: run[0]):
        _copy(parts[number], start, end - start, out)
    out.write(bytes(2 * BLOCK))


def merge_oci(parts: Sequence[BinaryIO], out: BinaryIO, platforms: Sequence[Platform] = ()) -> Mapping[str, Any]:
    """Writes the OCI layouts of several nodes as one: each blob once, one index over all manifests.

    Returns the descriptor of the index, without annotations.
    The images stand in the order of `platforms`, then their attestations, as in an index of one node. Annotations and
    names are kept. Raises BuildFailed for an archive that is not an OCI layout, lacks a blob, or has one with other
    content than its digest says.
    """
    layouts = [Layout(part) for part in parts]
    media_type, data = merge_sources(
        [layout.source() for layout in layouts],
        {f"annotation-index.{key}": value for layout in layouts for key, value in layout.annotations().items()},
        platforms,
    )
    digest = digest_of(data)
    blobs: dict[str, tuple[Layout, Entry]] = {}
    for layout in layouts:
        for found in layout.reached():
            blobs.setdefault(found, (layout, layout.blobs[found]))
    top = {"mediaType": media_type, "digest": digest, "size": len(data)}
    tops = [{**top, "annotations": names} if names else top for names in layouts[0].names]
    index = go_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": tops}).encode()
    small = {
        digest_path(digest): (data, 0o444),
        "index.json": (index, 0o644),
        "oci-layout": (b'{"imageLayoutVersion":"1.0.0"}', 0o444),
    }
    paths = {digest_path(found): (found, place) for found, place in blobs.items() if found != digest}
    folders = {f"blobs/{found.partition(':')[0]}/" for found in (digest, *blobs)}
    for name in sorted({"blobs/", *folders, *paths, *small}):
        if name in small:
            content, mode = small[name]
            out.write(_header(name, len(content), mode) + content + bytes(padded(len(content)) - len(content)))
        elif name in paths:
            _write_blob(name, *paths[name], out)
        else:
            out.write(_header(name, 0, 0o755))
    out.write(bytes(2 * BLOCK))
    return top


def _write_blob(name: str, digest: str, place: tuple[Layout, Entry], out: BinaryIO) -> None:
    layout, entry = place
    out.write(_header(name, entry.size, 0o444))
    checked = hasher(digest)
    _copy(layout.file, entry.data, entry.size, out, checked)
    out.write(bytes(padded(entry.size) - entry.size))
    if checked.hexdigest() != digest.partition(":")[2]:
        raise BuildFailed(f"a node sent an archive whose blob {digest} has other content")


def _header(name: str, size: int, mode: int) -> bytes:
    """Returns a header as Go writes it for an entry of which no more is known."""
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, mode
    if name.endswith("/"):
        found.type = tarfile.DIRTYPE
    if size >= _OCTAL_SIZE:
        return found.tobuf(tarfile.PAX_FORMAT)
    fields = (
        (name.encode(), 100),
        (b"%07o" % mode, 8),
        (b"0000000", 8),
        (b"0000000", 8),
        (b"%011o" % size, 12),
        (b"%011o" % 0, 12),
        (b" " * 8, 8),
        (found.type, 1),
        (b"", 100),
        (b"ustar\x0000", 8),
        (b"", 64),
        (b"0000000", 8),
        (b"0000000", 8),
    )
    header = b"".join(value.ljust(width, b"\0") for value, width in fields).ljust(BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _copy(source: BinaryIO, at: int, size: int, out: BinaryIO, checked: Any = None) -> None:
    source.seek(at)
    while size > 0:
        piece = source.read(min(_CHUNK, size))
        if not piece:
            raise BuildFailed("a node's archive is shorter than its entries say")
        if checked is not None:
            checked.update(piece)
        out.write(piece)
        size -= len(piece)
