"""Merges the archives of several nodes: OCI layouts into one layout with one index, tars into one tar."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from typing import Any, BinaryIO

from buildclient.base.errors import BuildFailed
from buildclient.contract.jsontext import read_json
from buildclient.registry.merge import merge_indexes

__all__ = ["merge_oci", "merge_tars"]

_CHUNK = 1 << 20


def merge_tars(parts: Sequence[BinaryIO], out: BinaryIO) -> None:
    """Writes the entries of several tars as one. Raises BuildFailed for an invalid tar."""
    for part in parts:
        try:
            with tarfile.open(fileobj=part, mode="r:") as archive:
                for _ in archive:
                    pass
                end = archive.offset
        except tarfile.TarError as error:
            raise BuildFailed(f"a node sent an archive that cannot be read: {error}") from None
        part.seek(0)
        _copy(part, out, end)
    out.write(b"\0" * 1024)


def merge_oci(parts: Sequence[BinaryIO], out: BinaryIO) -> None:
    """Writes the OCI layouts of several nodes as one: each blob once, one index over all manifests.

    Raises BuildFailed for an archive that is not an OCI layout.
    """
    layouts = [_Layout(part) for part in parts]
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as merged:
        written: set[str] = set()
        for layout in layouts:
            for member in layout.members:
                if member.name not in written:
                    merged.addfile(member, layout.archive.extractfile(member) if member.isfile() else None)
                written.add(member.name)
        tops = [layout.top for layout in layouts]
        media_type, data = merge_indexes([layout.index for layout in layouts])
        digest = hashlib.sha256(data).hexdigest()
        _add(merged, f"blobs/sha256/{digest}", data)
        top = {
            "mediaType": media_type,
            "digest": f"sha256:{digest}",
            "size": len(data),
            **({"annotations": tops[0]["annotations"]} if tops[0].get("annotations") else {}),
        }
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [top]}
        _add(merged, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(merged, "index.json", json.dumps(index, separators=(",", ":")).encode())


class _Layout:
    """One node's OCI layout in a tar."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self.archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
            self.top: dict[str, Any] = read_json(self._read("index.json"))["manifests"][0]
            """The descriptor of its only image."""
            self.index = self._read("blobs/" + self.top["digest"].replace(":", "/"))
            self.members = [
                member
                for member in self.archive.getmembers()
                if member.isdir() or (member.isfile() and member.name.startswith("blobs/"))
            ]
        except (tarfile.TarError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise BuildFailed(f"a node sent an archive that is no OCI layout: {error}") from None

    def _read(self, name: str) -> bytes:
        file = self.archive.extractfile(name)
        if file is None:
            raise KeyError(name)
        return file.read()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = 0o444
    archive.addfile(member, io.BytesIO(data))


def _copy(source: BinaryIO, out: BinaryIO, size: int) -> None:
    while size > 0:
        piece = source.read(min(_CHUNK, size))
        if not piece:
            raise BuildFailed("a node's archive is shorter than its entries say")
        out.write(piece)
        size -= len(piece)
