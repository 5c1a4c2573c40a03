"""What a build made, from the nodes' answers: digests, and the object of `--metadata-file`.

Reference: decodeExporterResponse and getImageID of buildx 0.38.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from buildclient.base.gotext import go_json
from buildclient.base.jsontext import read_json
from buildclient.request.values import BuildResult, NodeResult

__all__ = ["build_result", "decode_response", "metadata_text"]

_DIGEST = "containerimage.digest"
_CONFIG = "containerimage.config.digest"


def build_result(builder: str, results: Sequence[NodeResult], merged_digest: str) -> BuildResult:
    """The result of a build on one or several nodes; `merged_digest` is that of the index put together here, if any.

    As in docker buildx, a merged image leaves its digest alone in the metadata, and several nodes without one leave
    the first node's answer.
    """
    first = results[0]
    response = dict(first.response)
    if merged_digest:
        response = {_DIGEST: merged_digest}
    metadata = decode_response(response)
    if not merged_digest:
        metadata["buildx.build.ref"] = f"{builder}/{first.node}/{first.ref}"
    digest = response.get(_DIGEST, "")
    return BuildResult(digest, response.get(_CONFIG, digest), tuple(results), metadata)


def decode_response(response: Mapping[str, str]) -> dict[str, Any]:
    """An exporter's response with values that are JSON in base64 (or JSON, for `result.json`) as what they say."""
    return {key: _decoded(key, value) for key, value in sorted(response.items())}


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """The text of a metadata file: sorted, and indented and escaped as Go does it."""
    return go_json(dict(sorted(metadata.items())), indent=2)


def _decoded(key: str, value: str) -> Any:
    try:
        raw = value.encode() if key == "result.json" else base64.b64decode(value, validate=True)
        found = read_json(raw)
    except (binascii.Error, ValueError):
        return value
    listed = isinstance(found, list) and all(isinstance(item, dict) for item in found)
    return found if found and (isinstance(found, dict) or listed) else value
