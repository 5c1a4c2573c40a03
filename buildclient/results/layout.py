"""An OCI layout in a tar, as a node sends it: its blobs by digest, and what its index leads to.

Reference: OCI image-spec, image-layout; the archives of containerd, which BuildKit writes.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from buildclient.base.errors import BuildFailed
from buildclient.contract.jsontext import read_json
from buildclient.contract.patterns import pattern
from buildclient.registry.merge import DOCKER_LIST, OCI_INDEX, Source
from buildclient.results.tarscan import Entry, entries

__all__ = ["INDEXES", "Layout", "digest_path", "hasher"]

INDEXES = (OCI_INDEX, DOCKER_LIST)
_BLOB = pattern(rb"(?:\./)?blobs/(sha256|sha384|sha512)/([0-9a-f]{64,128})\Z")
_MAX_JSON = 16 << 20
"""Bytes of an index, a manifest or a config."""
_MAX_BLOBS = 100_000
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")


def digest_path(digest: str) -> str:
    """Returns a blob's name in a layout."""
    return "blobs/" + digest.replace(":", "/")


def hasher(digest: str) -> Any:
    """Returns the hash object of a digest's algorithm."""
    return hashlib.new(digest.partition(":")[0])


class Layout:
    """One node's OCI layout. Every reader raises BuildFailed for content that does not fit together."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.blobs: dict[str, Entry] = {}
        index = self._scan()
        with _sound():
            found = read_json(self._bytes(index))["manifests"]
            if not isinstance(found, list) or not found or not all(isinstance(top, dict) for top in found):
                raise ValueError("its index lists no images")
            self.tops: list[dict[str, Any]] = found
            """The descriptors of its image, one for each name."""
            if len({str(top["digest"]) for top in found}) != 1:
                raise ValueError("its index lists several images")
            self.digest = str(found[0]["digest"])
            noted = [sorted((top.get("annotations") or {}).items()) for top in found]
            self.names = [{str(key): str(value) for key, value in one} for one in noted]
            """The annotations of each descriptor, sorted as Go writes them: the image's names, and when it was made."""

    def _scan(self) -> Entry:
        """Notes the blobs. Returns the entry of index.json."""
        index = None
        try:
            for entry in entries(self.file, self.file.seek(0, 2)):
                if not entry.regular:
                    continue
                match = _BLOB.match(entry.name)
                if match:
                    self.blobs.setdefault(b":".join(match.groups()).decode(), entry)
                elif entry.name.removeprefix(b"./") == b"index.json":
                    index = entry
                if len(self.blobs) > _MAX_BLOBS:
                    raise _Unsound("it has too many blobs")
        except tarfile.TarError as error:
            raise _Unsound(str(error)) from None
        if index is None:
            raise _Unsound("it has no index.json")
        return index

    def read(self, digest: str) -> bytes:
        """Returns a small blob's bytes, checked."""
        entry = self.blobs.get(digest)
        if entry is None:
            raise _Unsound(f"it has no blob {digest}")
        data = self._bytes(entry)
        whole = hasher(digest)
        whole.update(data)
        if whole.hexdigest() != digest.partition(":")[2]:
            raise _Unsound(f"its blob {digest} has other content")
        return data

    def source(self) -> Source:
        """Returns the image for `merge_sources`, with its platform if it stands in no index."""
        top = self.tops[0]
        with _sound():
            if top.get("mediaType") in INDEXES:
                return Source(top, self.read(self.digest))
            own = {key: value for key, value in top.items() if key != "annotations"}
            if not own.get("platform"):
                config = read_json(self.read(str(read_json(self.read(self.digest))["config"]["digest"])))
                own["platform"] = {key: config[key] for key in _PLATFORM if config.get(key)}
            return Source(own, b"")

    def annotations(self) -> dict[str, str]:
        """Returns the annotations of its index."""
        if self.tops[0].get("mediaType") not in INDEXES:
            return {}
        with _sound():
            found = read_json(self.read(self.digest)).get("annotations") or {}
            return {str(key): str(value) for key, value in found.items()}

    def reached(self) -> Iterator[str]:
        """Yields the digests of all that its image needs, but for the index that others take the place of.

        All are in the archive, with the sizes that their descriptors say.
        """
        seen: set[str] = set()
        waiting: list[Mapping[str, Any]] = [self.tops[0]]
        while waiting:
            with _sound():
                one = waiting.pop()
                digest, kind = str(one["digest"]), str(one.get("mediaType", ""))
                if digest in seen:
                    continue
                seen.add(digest)
                entry = self.blobs.get(digest)
                if entry is None:
                    raise ValueError(f"it has no blob {digest}")
                if one.get("size") != entry.size:
                    raise ValueError(f"its blob {digest} has another size")
                if kind in INDEXES or ".manifest." in kind:
                    content = read_json(self.read(digest))
                    waiting += [*(content.get("manifests") or ()), *(content.get("layers") or ())]
                    waiting += [content["config"]] if content.get("config") else []
            if digest != self.digest or kind not in INDEXES:
                yield digest

    def _bytes(self, entry: Entry) -> bytes:
        if entry.size > _MAX_JSON:
            raise _Unsound(f"{entry.name.decode(errors='replace')} has {entry.size} bytes")
        self.file.seek(entry.data)
        return self.file.read(entry.size)


class _Unsound(BuildFailed):
    def __init__(self, why: str) -> None:
        super().__init__(f"a node sent an archive that is no OCI layout: {why}")


class _sound:  # noqa: N801 - a context manager
    """Raises BuildFailed for what a wrong shape of JSON raises in the block."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LookupError | TypeError | AttributeError | ValueError):
            raise _Unsound(str(error)) from None
