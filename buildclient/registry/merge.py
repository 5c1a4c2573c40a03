"""Merges the images of several nodes into one index.

Pure; the bytes equal docker buildx's: manifests in the nodes' order, each digest once, attestations kept.
Reference: Combine of buildx 0.38 (util/imagetools/create.go); OCI image-spec, image-index.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.base.errors import BuildFailed
from buildclient.base.gotext import go_json
from buildclient.contract.jsontext import read_json
from buildclient.contract.patterns import pattern
from buildclient.contract.platform import Platform

__all__ = [
    "DOCKER_LIST",
    "OCI_INDEX",
    "Source",
    "descriptor_of",
    "digest_of",
    "index_annotations",
    "merge_sources",
]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_INDEXES = (OCI_INDEX, DOCKER_LIST)
# The order in which Go writes a descriptor's fields (opencontainers/image-spec, specs-go/v1).
_DESCRIPTOR = ("mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType")
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")
_ANNOTATION = pattern(r"annotation-(index|manifest-descriptor)(?:\[([^\]]+)\])?\.(.+)\Z", re.DOTALL)


class Source(NamedTuple):
    """The manifest that one node pushed: its descriptor and bytes."""

    descriptor: Mapping[str, Any]
    data: bytes


def descriptor_of(response: Mapping[str, str]) -> dict[str, Any]:
    """The descriptor in an exporter's response. Raises BuildFailed when there is none."""
    encoded = response.get("containerimage.descriptor")
    if encoded:
        try:
            found = read_json(base64.b64decode(encoded))
            if isinstance(found, dict) and found.get("digest"):
                return found
        except (binascii.Error, ValueError):
            pass
        raise BuildFailed("a node answered with a containerimage.descriptor that cannot be read")
    digest = response.get("containerimage.digest")
    if not digest:
        raise BuildFailed("a node pushed an image but did not say which (no containerimage.digest)")
    return {"digest": digest}


def merge_sources(
    sources: Sequence[Source],
    annotations: Mapping[str, str] | None = None,
    platforms: Sequence[Platform] | None = None,
) -> tuple[str, bytes]:
    """Media type and bytes of one index over images and indexes.

    With `platforms` the images stand in that order and their attestations after them, as in the index of one node;
    without, all stand in the order of the sources, as docker buildx merges indexes.

    A plain image's descriptor must carry its platform. `annotations` are exporter attributes such as
    `annotation-index.key` and `annotation-manifest-descriptor[linux/arm64].key`; others among them are left out.
    Raises BuildFailed for bytes that are not an index.
    """
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        media_type = source.descriptor.get("mediaType") or _object(source.data).get("mediaType") or ""
        entries = _object(source.data).get("manifests") if media_type in _INDEXES else [source.descriptor]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BuildFailed("a node pushed an index without a list of manifests")
        if not all(isinstance(entry.get(key), dict | None) for entry in entries for key in ("platform", "annotations")):
            raise BuildFailed("a node pushed an index with a platform or annotations that are not a JSON object")
        for entry in entries:
            _add(found, entry)
    descriptors = list(found.values())
    if platforms is not None:
        descriptors.sort(key=_ranks(descriptors, platforms))
    docker = all(str(one.get("mediaType", "")).startswith("application/vnd.docker.") for one in descriptors)
    kind = DOCKER_LIST if docker else OCI_INDEX
    on_index: dict[str, str] = {}
    # Docker's lists have no annotations.
    for name, value in ({} if docker else annotations or {}).items():
        match = _ANNOTATION.match(name)
        if match is None:
            continue
        where, platform, key = match.groups()
        if where == "index":
            on_index[key] = value
            continue
        for one in descriptors:
            if not platform or _matches(one.get("platform"), platform):
                one["annotations"] = {**(one.get("annotations") or {}), key: value}
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind, "manifests": [_ordered(d) for d in descriptors]}
    if on_index:
        index["annotations"] = dict(sorted(on_index.items()))
    return kind, go_json(index, indent=2).encode()


def index_annotations(attributes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Those of several exporters' attributes that belong on a merged index."""
    return {name: value for attrs in attributes for name, value in attrs.items() if _ANNOTATION.match(name)}


def digest_of(data: bytes) -> str:
    """The digest of a manifest's bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _add(found: dict[str, dict[str, Any]], entry: Mapping[str, Any]) -> None:
    digest = str(entry.get("digest", ""))
    old = found.get(digest)
    if old is None:
        found[digest] = dict(entry)
        return
    old.setdefault("mediaType", entry.get("mediaType"))
    if entry.get("platform"):
        old["platform"] = entry["platform"]
    if entry.get("annotations"):
        old["annotations"] = {**(old.get("annotations") or {}), **entry["annotations"]}


def _ranks(
    descriptors: Sequence[Mapping[str, Any]], platforms: Sequence[Platform]
) -> Callable[[Mapping[str, Any]], tuple[bool, int, str]]:
    """Returns the sort key of the descriptors of one index."""
    wanted = {str(platform): number for number, platform in enumerate(platforms)}
    ranks: dict[str, int] = {}
    for one in descriptors:
        platform = one.get("platform")
        rank = wanted.get(str(Platform.from_json(platform)), len(wanted)) if platform else len(wanted)
        ranks[str(one.get("digest"))] = rank

    def key(one: Mapping[str, Any]) -> tuple[bool, int, str]:
        digest = str(one.get("digest"))
        image = (one.get("annotations") or {}).get("vnd.docker.reference.digest")
        return image is not None, ranks.get(str(image), len(wanted)) if image else ranks[digest], digest

    return key


def _matches(platform: Any, wanted: str) -> bool:
    """Whether a descriptor's platform is spelled `wanted`, its version aside; docker buildx compares the same."""
    if not isinstance(platform, dict):
        return False
    return wanted == str(Platform.from_json(platform).unversioned)


def _ordered(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """A descriptor with the specification's fields alone, in Go's order."""
    ordered = _fields(descriptor, _DESCRIPTOR, {"mediaType": "", "digest": "", "size": 0})
    if "annotations" in ordered:
        ordered["annotations"] = dict(sorted(ordered["annotations"].items()))
    if descriptor.get("platform") is not None:
        ordered["platform"] = _fields(descriptor["platform"], _PLATFORM, {"architecture": "", "os": ""})
    # Where both are, an artifact's type comes after the platform.
    return {key: ordered[key] for key in _DESCRIPTOR if key in ordered}


def _fields(value: Mapping[str, Any], names: Sequence[str], always: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that Go writes: those of `always`, the others unless they are empty."""
    return {
        name: value.get(name) or always[name] if name in always else value[name]
        for name in names
        if name in always or value.get(name)
    }


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = read_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BuildFailed("a node pushed a manifest that is not a JSON object")
    return value
