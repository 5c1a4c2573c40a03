"""Makes an archive that `docker load` takes of an OCI layout in a tar, as the layout arrives; pure.

An engine without the containerd image store takes one image for one platform, listed in `manifest.json`. Blobs pass as
they are; the lists of the layout come last in what BuildKit sends, and `manifest.json` takes their place.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from buildclient.base.errors import BuildFailed
from buildclient.contract.jsontext import read_json
from buildclient.contract.platform import Platform, PlatformError, parse_platform

__all__ = ["DockerArchive"]

_BLOCK = 512
_MAX_MANIFEST = 4 << 20
"""Bytes of a blob that may be a manifest or an index."""
_MAX_MANIFESTS = 64 << 20
"""Bytes of all of them."""
_MAX_KEPT = 10_000
"""Blobs of which the first bytes say that they may be one, or are still to come."""
_LISTS = ("index.json", "oci-layout", "manifest.json", "repositories")


class DockerArchive:
    """Converts one layout; `platform` is the one that is listed, None the only one that there is."""

    def __init__(self, platform: Platform | None) -> None:
        self._platform = platform
        self._rest = b""
        self._left = 0
        """Bytes of the entry that are still to come, without padding."""
        self._padding = 0
        self._pass = False
        self._kept: dict[str, bytearray] = {}
        self._keeping: bytearray | None = None
        self._size = 0
        self.image_id = ""
        """Digest of the listed image's config, by which such an engine knows the image; known at the end."""

    def feed(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """Takes the next bytes of the layout; returns those of the archive. Raises BuildFailed."""
        data = b"".join([self._rest, *pieces])
        at = 0
        while True:
            if self._left or self._padding:
                piece = data[at : at + self._left + self._padding]
                at += len(piece)
                yield from self._content(piece)
                if self._left or self._padding:
                    break
            if len(data) - at < _BLOCK:
                break
            header = data[at : at + _BLOCK]
            at += _BLOCK
            if header.strip(b"\0"):
                yield from self._entry(header)
        self._rest = data[at:]

    def end(self) -> Iterator[bytes]:
        """Returns the rest of the archive: its list of images. Raises BuildFailed for a layout without the image."""
        data = json.dumps([self._listed()]).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size, member.mode = len(data), 0o444
        yield member.tobuf(tarfile.USTAR_FORMAT)
        yield data + bytes(-len(data) % _BLOCK)
        yield bytes(2 * _BLOCK)

    def _entry(self, header: bytes) -> Iterator[bytes]:
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            raise BuildFailed(f"a node sent an archive that cannot be read: {error}") from None
        if member.size < 0:
            raise BuildFailed("a node sent an archive that cannot be read: an entry with a negative size")
        self._left = member.size if member.isreg() else 0
        self._padding = -self._left % _BLOCK
        self._pass = member.name not in _LISTS
        self._keeping = None
        if self._left and member.size <= _MAX_MANIFEST and self._size + member.size <= _MAX_MANIFESTS:
            self._keeping = self._kept[member.name] = bytearray()
            self._size += member.size
            if len(self._kept) > _MAX_KEPT:
                raise BuildFailed("a node sent an archive that cannot be read: it has too many manifests")
        if self._pass:
            yield header

    def _content(self, piece: bytes) -> Iterator[bytes]:
        data = piece[: self._left]
        if self._keeping is not None:
            if not self._keeping and data and data[:1] not in b"{":
                # A layer, or else no manifest.
                self._forget()
            elif self._keeping is not None:
                self._keeping += data
        self._left -= len(data)
        self._padding -= len(piece) - len(data)
        if self._pass and piece:
            yield piece

    def _forget(self) -> None:
        name = next(name for name, kept in self._kept.items() if kept is self._keeping)
        self._size -= self._left + len(self._kept.pop(name))
        self._keeping = None

    def _listed(self) -> dict[str, Any]:
        """The entry of `manifest.json`."""
        try:
            tops = self._json("index.json")["manifests"]
            names = [one.get("annotations", {}).get("io.containerd.image.name", "") for one in tops]
            manifest = self._image(tops[0])
            layers = [_path(layer) for layer in manifest["layers"]]
            config = _path(manifest["config"])
            self.image_id = manifest["config"]["digest"]
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise BuildFailed(f"a node sent an archive that is no OCI layout: {error}") from None
        tags = list(dict.fromkeys(_familiar(name) for name in names if isinstance(name, str) and name))
        return {"Config": config, "RepoTags": tags or None, "Layers": layers}

    def _image(self, descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self._json(_path(descriptor))
        if "manifests" not in found:
            return found
        images = [
            one for one in found["manifests"] if "vnd.docker.reference.type" not in (one.get("annotations") or {})
        ]
        wanted = [one for one in images if self._platform is None or _platform(one) == self._platform]
        if not wanted or (self._platform is None and len(wanted) > 1):
            raise BuildFailed(f"the daemon sent no image for {self._platform or 'one platform'}")
        return self._json(_path(wanted[0]))

    def _json(self, name: str) -> dict[str, Any]:
        value = read_json(bytes(self._kept[name]))
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no JSON object")
        return value


def _familiar(name: str) -> str:
    """The short form of Docker Hub's names, which docker archives have: Podman puts images of other names elsewhere."""
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name


def _path(descriptor: Mapping[str, Any]) -> str:
    algorithm, _, digest = descriptor["digest"].partition(":")
    if not (algorithm.isalnum() and digest.isalnum()):
        raise ValueError("a digest is malformed")
    return f"blobs/{algorithm}/{digest}"


def _platform(descriptor: Mapping[str, Any]) -> Platform | None:
    try:
        return parse_platform(str(Platform.from_json(descriptor.get("platform") or {})))
    except PlatformError:
        return None
