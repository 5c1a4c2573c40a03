"""Archives as nodes send them, and how they reach an export."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildclient.results.exports import Exports
from buildclient.session.wire import bytes_message
from tests.unit.filesync_call import MemoryCall

__all__ = ["Image", "blob", "layout", "put", "send_archive", "tar_files", "tar_of"]

_SEND = "/moby.filesync.v1.FileSend/DiffCopy"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def put(exports: Exports) -> None:
    """As a build does once every node has answered."""
    try:
        await exports.stage([])
        await exports.commit()
    finally:
        exports.abort()


async def send_archive(exports: Exports, node: int, data: bytes, exporter: str = "0") -> None:
    """Sends an archive in small pieces."""
    call = MemoryCall({"buildkit-attachable-exporter-id": (exporter,)})
    for at in range(0, len(data), 7000):
        call.incoming.put_nowait(bytes_message(data[at : at + 7000]))
    call.incoming.put_nowait(None)
    await exports.services(node)[0][_SEND](call)


def tar_of(files: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these files; a name that ends with `/` is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def tar_files(archive: bytes) -> dict[str, bytes]:
    """The content of each entry, in order; none is there twice."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        found: dict[str, bytes] = {}
        for member in opened.getmembers():
            assert member.name not in found
            file = opened.extractfile(member)
            found[member.name] = file.read() if file else b""
        return found


class Image:
    """One platform's image of layers, with an attestation if asked for."""

    def __init__(self, platform: str, layers: Iterable[bytes] = (b"layer",), attested: bool = False) -> None:
        self.blobs: dict[str, bytes] = {}
        os, architecture = platform.split("/")
        self.platform = platform
        self.entry = self._manifest({"os": os, "architecture": architecture}, layers)
        self.proof: dict[str, Any] | None = None
        if attested:
            self.proof = self._manifest(
                {"architecture": "unknown", "os": "unknown"}, [b"proof of " + platform.encode()]
            )
            self.proof["annotations"] = {
                "vnd.docker.reference.digest": self.entry["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            }

    def _manifest(self, platform: dict[str, str], layers: Iterable[bytes]) -> dict[str, Any]:
        manifest = {
            "mediaType": _MANIFEST,
            "config": self._blob("application/vnd.oci.image.config.v1+json", json.dumps(platform).encode()),
            "layers": [self._blob("application/vnd.oci.image.layer.v1.tar", layer) for layer in layers],
        }
        return {**self._blob(_MANIFEST, json.dumps(manifest).encode()), "platform": platform}

    def _blob(self, kind: str, data: bytes) -> dict[str, Any]:
        return blob(self.blobs, kind, data)


def blob(blobs: dict[str, bytes], kind: str, data: bytes) -> dict[str, Any]:
    """Adds a blob to the files of a layout. Returns its descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = data
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def layout(images: Sequence[Image], names: Sequence[str] = (), annotations: Mapping[str, str] | None = None) -> bytes:
    """An OCI layout as BuildKit sends it: sorted entries, one descriptor for each name."""
    blobs = {name: data for image in images for name, data in image.blobs.items()}
    entries = [image.entry for image in images] + [image.proof for image in images if image.proof]
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [_ordered(one) for one in entries]}
    if annotations:
        index["annotations"] = dict(annotations)
    top = blob(blobs, _INDEX, json.dumps(index, indent=2).encode())
    tops = [
        {**top, "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"}}
        for name in names
    ] or [top]
    whole = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": tops}
    files = {
        **blobs,
        "blobs/": b"",
        "blobs/sha256/": b"",
        "index.json": json.dumps(whole, separators=(",", ":")).encode(),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }
    return tar_of({name: files[name] for name in sorted(files)})


def _ordered(entry: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("mediaType", "digest", "size", "annotations", "platform")
    named = {key: entry[key] for key in keys if key in entry}
    platform = named["platform"]
    return {**named, "platform": {key: platform[key] for key in ("architecture", "os")}}
