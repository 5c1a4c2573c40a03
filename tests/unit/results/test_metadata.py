"""Metadata: one build's answer out of its nodes' answers."""

from __future__ import annotations

import base64
import json

from buildclient.request.values import NodeResult, Output
from buildclient.results.metadata import build_result, metadata_text, preferred


def test_metadata_of_one_node_is_its_answer_and_the_build_s_reference() -> None:
    """Values that are JSON in base64 become what they say."""
    descriptor = {"mediaType": "m", "digest": "sha256:a", "size": 1}
    response = {
        "containerimage.digest": "sha256:a",
        "containerimage.config.digest": "sha256:c",
        "containerimage.descriptor": base64.b64encode(json.dumps(descriptor).encode()).decode(),
        "image.name": "x",
    }
    result = build_result("kube", [NodeResult("one", "ref1", (), response)], "")
    assert result.digest == "sha256:a"
    assert result.image_id == "sha256:c"
    assert result.metadata["containerimage.descriptor"] == descriptor
    assert result.metadata["buildx.build.ref"] == "kube/one/ref1"


def test_metadata_of_a_merged_image_is_its_digest() -> None:
    """As docker buildx leaves it."""
    nodes = [NodeResult(name, "r", (), {"containerimage.digest": f"sha256:{name}"}) for name in "ab"]
    result = build_result("kube", nodes, "sha256:all")
    assert result.digest == result.image_id == "sha256:all"
    assert result.metadata == {"containerimage.digest": "sha256:all"}


def test_metadata_of_a_merged_archive_is_about_its_image() -> None:
    """Digest and descriptor are the merged index's, names and annotations those that every node gave."""
    descriptor = {"mediaType": "m", "digest": "sha256:a", "size": 1, "annotations": {"created": "1"}}
    response = {
        "containerimage.digest": "sha256:a",
        "containerimage.config.digest": "sha256:c",
        "containerimage.descriptor": base64.b64encode(json.dumps(descriptor).encode()).decode(),
        "image.name": "x",
    }
    proof = {f"buildx.build.provenance/{name}": base64.b64encode(b'{"a": 1}').decode() for name in "ab"}
    nodes = [
        NodeResult(name, f"ref-{name}", (), {**response, key: proof[key]})
        for name, key in zip("ab", proof, strict=True)
    ]
    image = {"mediaType": "i", "digest": "sha256:all", "size": 9}
    result = build_result("kube", nodes, "", image)
    assert result.digest == result.image_id == "sha256:all"
    assert result.metadata == {
        "buildx.build.provenance/a": {"a": 1},
        "buildx.build.provenance/b": {"a": 1},
        "buildx.build.ref": "kube/a/ref-a",
        "containerimage.descriptor": {**image, "annotations": {"created": "1"}},
        "containerimage.digest": "sha256:all",
        "image.name": "x",
    }


def test_the_metadata_s_text_is_go_s() -> None:
    """Sorted at the top, indented by two, and with what a browser would take for markup escaped."""
    assert metadata_text({"b": {"z": "<a&b>", "a": [1, {}]}, "a": "ü"}) == (
        '{\n  "a": "ü",\n  "b": {\n    "z": "\\u003ca\\u0026b\\u003e",\n    "a": [\n      1,\n      {}\n    ]\n  }\n}'
    )


def test_an_engine_that_prefers_it_gets_the_image_s_digest() -> None:
    """Only where an output says so; the rest of the response stays."""
    response = {"containerimage.digest": "sha256:a", "containerimage.config.digest": "sha256:b"}
    outputs = [Output("image"), Output("oci", {"prefer-image-digest": "true"})]
    assert preferred(response, outputs) == {"containerimage.digest": "sha256:a"}
    assert preferred(response, outputs[:1]) == response
