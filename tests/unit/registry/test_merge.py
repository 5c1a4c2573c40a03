"""One index out of several nodes' images: order, once each, attestations, annotations, bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import ClientError
from buildclient.registry.merge import DOCKER_LIST, OCI_INDEX, Source, descriptor_of, digest_of, merge_sources

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ATTESTATION = "vnd.docker.reference.type"


def entry(name: str, platform: str = "linux/amd64", media_type: str = OCI_MANIFEST, **more: Any) -> dict[str, Any]:
    """A descriptor of an image that is only named."""
    os, architecture, *variant = platform.split("/")
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    where = {"architecture": architecture, "os": os, **({"variant": variant[0]} if variant else {})}
    return {"mediaType": media_type, "digest": digest, "size": len(name) + 1, "platform": where, **more}


def attestation(of: dict[str, Any]) -> dict[str, Any]:
    """The entry that BuildKit puts beside an image."""
    marks = {"vnd.docker.reference.digest": of["digest"], ATTESTATION: "attestation-manifest"}
    return entry(f"attestation of {of['digest']}", "unknown/unknown", annotations=marks)


def index(*entries: dict[str, Any], media_type: str = OCI_INDEX) -> Source:
    """What a node pushed."""
    data = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
    return Source({"mediaType": media_type, "digest": digest_of(data), "size": len(data)}, data)


names = st.text("abcdefgh", min_size=1, max_size=2)
indexes = st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=4)


@given(indexes)
def test_each_digest_comes_once_in_the_nodes_order(nodes: list[list[str]]) -> None:
    """The merged index has every image of every node, once, where it first came."""
    media_type, data = merge_sources([index(*(entry(name) for name in node)) for node in nodes])
    merged = json.loads(data)
    expected = list(dict.fromkeys(entry(name)["digest"] for node in nodes for name in node))
    assert [one["digest"] for one in merged["manifests"]] == expected
    assert merged["mediaType"] == media_type == OCI_INDEX


@given(indexes)
def test_merging_what_was_merged_changes_nothing(nodes: list[list[str]]) -> None:
    """A merged index merged again is the same, to the byte."""
    media_type, data = merge_sources([index(*(entry(name) for name in node)) for node in nodes])
    assert merge_sources([Source({"mediaType": media_type}, data)]) == (media_type, data)


@given(st.lists(st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST]), min_size=1, max_size=5))
def test_a_docker_list_only_where_all_is_docker(kinds: list[str]) -> None:
    """One OCI manifest among Docker's makes an OCI index."""
    sources = [index(entry(str(n), media_type=kind), media_type=DOCKER_LIST) for n, kind in enumerate(kinds)]
    expected = DOCKER_LIST if all(kind == DOCKER_MANIFEST for kind in kinds) else OCI_INDEX
    media_type, data = merge_sources(sources)
    assert media_type == json.loads(data)["mediaType"] == expected


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=8), max_size=4))
def test_annotations_of_an_entry_survive(marks: dict[str, str]) -> None:
    """Whatever annotations say, they come out as they went in, in order of their keys."""
    _, data = merge_sources([index(entry("a", annotations=marks))])
    found = json.loads(data)["manifests"][0].get("annotations", {})
    assert found == marks
    assert list(found) == sorted(marks)


def test_attestations_stay() -> None:
    """Each node's attestations come along, with the annotations that tie them to their image."""
    amd64, arm64 = entry("a"), entry("b", "linux/arm64")
    _, data = merge_sources([index(amd64, attestation(amd64)), index(arm64, attestation(arm64))])
    merged = json.loads(data)["manifests"]
    assert [one["platform"]["architecture"] for one in merged] == ["amd64", "unknown", "arm64", "unknown"]
    assert merged[3]["annotations"]["vnd.docker.reference.digest"] == arm64["digest"]


def test_a_plain_image_is_an_entry() -> None:
    """A node that pushed a manifest without an index becomes one entry."""
    _, data = merge_sources([Source(entry("a"), b'{"schemaVersion": 2}'), index(entry("b", "linux/arm64"))])
    assert [one["digest"] for one in json.loads(data)["manifests"]] == [entry("a")["digest"], entry("b")["digest"]]


def test_a_second_sight_adds_annotations_and_platform() -> None:
    """What two nodes say of the same digest is put together."""
    first = entry("a", annotations={"one": "1"})
    del first["platform"]
    _, data = merge_sources([index(first), index(entry("a", "linux/arm/v7", annotations={"two": "2"}))])
    (found,) = json.loads(data)["manifests"]
    assert found["annotations"] == {"one": "1", "two": "2"}
    assert found["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}


@pytest.mark.parametrize(
    ("name", "on_index", "on_entries"),
    [
        ("annotation-index.k", {"k": "v"}, [{}, {}]),
        ("annotation-manifest-descriptor.k", {}, [{"k": "v"}, {"k": "v"}]),
        ("annotation-manifest-descriptor[linux/arm64].k", {}, [{}, {"k": "v"}]),
        ("annotation-manifest.k", {}, [{}, {}]),
        ("annotation.k", {}, [{}, {}]),
        ("annotation-index-descriptor.k", {}, [{}, {}]),
    ],
)
def test_annotations_go_where_they_belong(
    name: str, on_index: dict[str, str], on_entries: list[dict[str, str]]
) -> None:
    """Those of the index and of its entries are applied here; the nodes applied the others."""
    _, data = merge_sources([index(entry("a"), entry("b", "linux/arm64"))], {name: "v"})
    merged = json.loads(data)
    assert merged.get("annotations", {}) == on_index
    assert [one.get("annotations", {}) for one in merged["manifests"]] == on_entries


def test_dockers_list_has_no_annotations() -> None:
    """Docker's media type knows none."""
    source = index(entry("a", media_type=DOCKER_MANIFEST), media_type=DOCKER_LIST)
    assert b"annotations" not in merge_sources([source], {"annotation-index.k": "v"})[1]


def test_bytes_are_gos() -> None:
    """Two spaces, the specification's order, HTML's characters escaped, unknown members dropped."""
    given = entry("a", annotations={"b": "<&>é", "a": "x"}, artifactType="t/t", urls=["u"], unknown=1)
    _, data = merge_sources([index(given)], {"annotation-index.k": "\u2028"})
    digest = given["digest"]
    assert data.decode() == (
        '{\n  "schemaVersion": 2,\n  "mediaType": "application/vnd.oci.image.index.v1+json",\n  "manifests": [\n'
        f'    {{\n      "mediaType": "{OCI_MANIFEST}",\n      "digest": "{digest}",\n      "size": 2,\n'
        '      "urls": [\n        "u"\n      ],\n'
        '      "annotations": {\n        "a": "x",\n        "b": "\\u003c\\u0026\\u003eé"\n      },\n'
        '      "platform": {\n        "architecture": "amd64",\n        "os": "linux"\n      },\n'
        '      "artifactType": "t/t"\n    }\n  ],\n  "annotations": {\n    "k": "\\u2028"\n  }\n}'
    )


def test_what_a_node_answered_is_read() -> None:
    """The descriptor comes in base64; an old daemon gives the digest alone."""
    given = {"mediaType": OCI_INDEX, "digest": "sha256:00", "size": 3}
    encoded = base64.b64encode(json.dumps(given).encode()).decode()
    assert descriptor_of({"containerimage.descriptor": encoded, "containerimage.digest": "x"}) == given
    assert descriptor_of({"containerimage.digest": "sha256:11"}) == {"digest": "sha256:11"}


@pytest.mark.parametrize(
    "response", [{}, {"containerimage.descriptor": "%"}, {"containerimage.descriptor": "W10="}], ids=str
)
def test_a_useless_answer_is_an_error(response: dict[str, str]) -> None:
    """A node that does not say what it pushed ends the build with one line."""
    with pytest.raises(ClientError, match="a node"):
        descriptor_of(response)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"manifests": 3}', b'{"manifests": [3]}', b"\xff"])
def test_bytes_that_are_no_index_are_an_error(data: bytes) -> None:
    """What a registry gives is not trusted to be an index."""
    with pytest.raises(ClientError, match="a node pushed"):
        merge_sources([Source({"mediaType": OCI_INDEX}, data)])
