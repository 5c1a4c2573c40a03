"""OCI image layers, configs, manifests and indexes (image-spec 1.1). Pure."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "INDEX",
    "MANIFEST",
    "Blob",
    "Image",
    "Layer",
    "Platform",
    "Settings",
    "blob_of",
    "digest_of",
    "image",
    "index",
    "layer",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_TAR = "application/vnd.oci.image.layer.v1.tar"
_GZIP = _TAR + "+gzip"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "1970-01-01T00:00:00Z"
"""A constant, so that the same content is the same image."""


class Blob(NamedTuple):
    """Content of a registry, in memory or in a file of the cache."""

    kind: str
    """Media type."""
    digest: str
    size: int
    source: bytes | Path

    @property
    def data(self) -> bytes:
        """The bytes."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source

    @property
    def descriptor(self) -> dict[str, object]:
        """As manifests and indexes point at it."""
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}


class Layer(NamedTuple):
    """A layer: what is stored, and the digest of its uncompressed archive."""

    blob: Blob
    diff_id: str


class Platform(NamedTuple):
    """An OCI platform of Linux."""

    architecture: str
    variant: str = ""

    def fields(self) -> dict[str, str]:
        """As descriptors and configs spell it."""
        found = {"architecture": self.architecture, "os": "linux", "variant": self.variant}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Settings:
    """What a container of the image starts with."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    volumes: tuple[str, ...] = ()
    working_folder: str = ""

    def fields(self) -> dict[str, object]:
        """As an image config spells it."""
        found: dict[str, object] = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": [_PATH, *(f"{name}={value}" for name, value in self.env.items())],
            "User": self.user,
            "Volumes": {name: {} for name in self.volumes},
            "WorkingDir": self.working_folder,
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Image:
    """A single-platform image: its manifest and the blobs that it points at."""

    platform: Platform
    manifest: Blob
    blobs: tuple[Blob, ...]


def digest_of(data: bytes) -> str:
    """`sha256:…` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_of(kind: str, data: bytes) -> Blob:
    """A blob of bytes."""
    return Blob(kind, digest_of(data), len(data), data)


def layer(archive: bytes, *, compress: bool) -> Layer:
    """A layer of a tar archive. Uncompressed it is larger to store and sooner unpacked."""
    data = gzip.compress(archive, 6, mtime=0) if compress else archive
    return Layer(blob_of(_GZIP if compress else _TAR, data), digest_of(archive))


def image(platform: Platform, layers: Sequence[Layer], settings: Settings) -> Image:
    """An image of layers, bottom first."""
    config = {
        "created": _CREATED,
        **platform.fields(),
        "config": settings.fields(),
        "rootfs": {"type": "layers", "diff_ids": [found.diff_id for found in layers]},
    }
    config_blob = _json(_CONFIG, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob.descriptor,
        "layers": [found.blob.descriptor for found in layers],
    }
    return Image(platform, _json(MANIFEST, manifest), (config_blob, *(found.blob for found in layers)))


def index(images: Sequence[Image]) -> Blob:
    """An index of images of several platforms, in the order given."""
    entries = [{**found.manifest.descriptor, "platform": found.platform.fields()} for found in images]
    return _json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def _json(kind: str, value: object) -> Blob:
    return blob_of(kind, json.dumps(value, separators=(",", ":")).encode())
