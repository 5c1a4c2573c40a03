"""Makes the result of a build from the nodes' answers: digests, and the object of `--metadata-file`.

Reference: decodeExporterResponse and getImageID of buildx 0.38.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.gotext import go_json
from buildclient.contract.jsontext import read_json
from buildclient.request.values import BuildResult, NodeResult, Output

__all__ = ["build_result", "decode_response", "metadata_text"]

_DIGEST = "containerimage.digest"
_CONFIG = "containerimage.config.digest"
_DESCRIPTOR = "containerimage.descriptor"
_PROVENANCE = "buildx.build.provenance/"
"""A platform's name follows."""


def build_result(
    builder: str,
    results: Sequence[NodeResult],
    merged_digest: str,
    image: Mapping[str, Any] | None = None,
    *,
    recorded: bool = True,
) -> BuildResult:
    """Returns the result of a build.

    `merged_digest` is the digest of the index that was pushed for several nodes, if there is one; `image` the
    descriptor of an image that was merged in an archive or a folder. `recorded` tells whether the daemons keep a record
    of the build, whose name is in the metadata.

    As in docker buildx, the metadata of a merged image that was pushed is its digest alone, and that of several nodes
    without a merged image is the first node's. `buildclient.retries` lists the daemons that were lost, if any.
    """
    first = results[0]
    response = dict(first.response)
    if merged_digest:
        response = {_DIGEST: merged_digest}
    metadata = decode_response(response)
    if image and not merged_digest:
        response[_DIGEST] = metadata[_DIGEST] = str(image["digest"])
        # Of the merged index it would be the config of one platform.
        for found in (response, metadata):
            found.pop(_CONFIG, None)
        for result in results[1:]:
            recorded_there = {k: v for k, v in result.response.items() if k.startswith(_PROVENANCE)}
            metadata = {**decode_response(recorded_there), **metadata}
        own = metadata.get(_DESCRIPTOR)
        metadata[_DESCRIPTOR] = {**(own if isinstance(own, dict) else {}), **image}
    if recorded and not merged_digest:
        metadata["buildx.build.ref"] = f"{builder}/{first.node}/{first.ref}"
    if retries := [{"node": one.node, **retry._asdict()} for one in results for retry in one.retries]:
        metadata["buildclient.retries"] = retries
    digest = response.get(_DIGEST, "")
    return BuildResult(digest, response.get(_CONFIG, digest), tuple(results), metadata)


def preferred(response: Mapping[str, str], outputs: Sequence[Output]) -> Mapping[str, str]:
    """Returns an exporter's response without the config's digest where an output prefers that of the image.

    An engine with the containerd image store knows images by that one alone.
    """
    if any(output.attrs.get("prefer-image-digest") == "true" for output in outputs):
        return {key: value for key, value in response.items() if key != _CONFIG}
    return response


def decode_response(response: Mapping[str, str]) -> dict[str, Any]:
    """Decodes the values of an exporter's response that are JSON in base64 (or plain JSON, for `result.json`)."""
    return {key: _decoded(key, value) for key, value in sorted(response.items())}


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Returns the text of a metadata file: sorted keys, indented and escaped as in Go."""
    return go_json(dict(sorted(metadata.items())), indent=2)


def _decoded(key: str, value: str) -> Any:
    try:
        raw = value.encode() if key == "result.json" else base64.b64decode(value, validate=True)
        found = read_json(raw)
    except (binascii.Error, ValueError):
        return value
    listed = isinstance(found, list) and all(isinstance(item, dict) for item in found)
    return found if found and (isinstance(found, dict) or listed) else value
