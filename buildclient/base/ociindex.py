"""The `index.json` of an OCI layout: descriptors by tag or name, and new ones in the place of old ones.

Pure. Reference: image-layout.md of the OCI image-spec; client/ociindex of BuildKit, whose files these are beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.base.digests import parse_digest
from buildclient.base.gotext import go_json
from buildclient.contract.jsontext import read_json
from buildclient.contract.patterns import pattern

__all__ = [
    "IMAGE_NAME",
    "LAYOUT",
    "MAX_INDEX",
    "OCI_INDEX",
    "REF_NAME",
    "Name",
    "image_name",
    "index_text",
    "named",
    "put",
    "read_descriptor",
    "read_index",
    "single",
    "tag_name",
]

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
"""The content of the file `oci-layout`."""
MAX_INDEX = 16 << 20
"""Bytes of an index.json: far more than any list of images."""
_FIRST = ("mediaType", "digest", "size", "urls")
"""Fields of a descriptor that stand before its annotations where Go writes it."""
_OBJECT = pattern("[:@]")


class Name(NamedTuple):
    """The annotations that name a descriptor: a whole image name (may be empty), and a tag."""

    image: str
    ref: str


def tag_name(tag: str) -> Name:
    """Returns the name of a tag alone."""
    return Name("", tag)


def image_name(name: str) -> Name:
    """Returns the name of an image: `docker.io/library/app:1` has the tag `1`."""
    _, slash, path = name.partition("/")
    match = _OBJECT.search(path)
    if not slash:
        return Name(name, name)
    return Name(name, path[match.start() :].removeprefix(":") if match else "")


def read_descriptor(value: Any) -> dict[str, Any]:
    """Returns a descriptor: an object with a digest, a size, and annotations that are texts. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("a descriptor is not a JSON object")
    digest, size, notes = value.get("digest"), value.get("size"), value.get("annotations")
    if not isinstance(digest, str):
        raise ValueError("a descriptor has no digest")
    try:
        parse_digest(digest)
    except ValueError as error:
        raise ValueError(f"invalid digest {digest[:200]}: {error}") from None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the descriptor of {digest} has no size")
    if not isinstance(notes, dict | None) or not all(isinstance(text, str) for text in (notes or {}).values()):
        raise ValueError(f"the annotations of {digest} are not texts")
    if not isinstance(value.get("mediaType", ""), str):
        raise ValueError(f"the media type of {digest} is not a text")
    return value


def read_index(data: bytes) -> dict[str, Any]:
    """Returns an index whose `manifests` are descriptors; empty bytes are an empty index. Raises ValueError."""
    index = read_json(data, size=MAX_INDEX) if data else {}
    if not isinstance(index, dict):
        raise ValueError("it is not a JSON object")
    manifests = index.get("manifests")
    manifests = [] if manifests is None else manifests
    if not isinstance(manifests, list):
        raise ValueError("its manifests are not a list")
    return {**index, "manifests": [read_descriptor(one) for one in manifests]}


def named(index: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
    """Returns the descriptors of an image name, else those of a tag; several where several nodes built one image."""
    for key in (IMAGE_NAME, REF_NAME):
        if found := [one for one in index["manifests"] if _note(one, key) == text]:
            return found
    return []


def single(index: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the only descriptor; None where there are none or several."""
    manifests = index["manifests"]
    return manifests[0] if len(manifests) == 1 else None


def put(index: Mapping[str, Any], descriptors: Sequence[Mapping[str, Any]], names: Iterable[Name]) -> dict[str, Any]:
    """Returns the index with the descriptors under each name, in the place of what had the name."""
    distinct = list(dict.fromkeys(names))
    kept = [
        one for one in index.get("manifests", []) if Name(_note(one, IMAGE_NAME), _note(one, REF_NAME)) not in distinct
    ]
    added = [_under(descriptor, name) for name in distinct for descriptor in descriptors]
    first = {"schemaVersion": index.get("schemaVersion") or 2, "mediaType": index.get("mediaType") or OCI_INDEX}
    rest = {key: value for key, value in index.items() if key not in first}
    return {**first, **rest, "manifests": [*kept, *added]}


def index_text(index: Mapping[str, Any]) -> bytes:
    """Returns the bytes of an index, in Go's order of the fields that matter."""
    head = [key for key in ("schemaVersion", "mediaType", "artifactType", "manifests") if key in index]
    return go_json({key: index[key] for key in [*head, *(key for key in index if key not in head)]}).encode()


def _under(descriptor: Mapping[str, Any], name: Name) -> dict[str, Any]:
    notes = {**(descriptor.get("annotations") or {}), REF_NAME: name.ref}
    if name.image:
        notes[IMAGE_NAME] = name.image
    first = {key: descriptor[key] for key in _FIRST if key in descriptor}
    rest = {key: value for key, value in descriptor.items() if key not in (*_FIRST, "annotations")}
    return {**first, "annotations": dict(sorted(notes.items())), **rest}


def _note(descriptor: Mapping[str, Any], key: str) -> str:
    return str((descriptor.get("annotations") or {}).get(key, ""))
