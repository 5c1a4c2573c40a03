"""Digests, and the index of an OCI layout: names, descriptors by name, and new ones in the place of old ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from buildclient.base.digests import parse_digest
from buildclient.base.ociindex import Name, image_name, index_text, named, put, read_index, single, tag_name

_A = f"sha256:{'a' * 64}"
_B = f"sha256:{'b' * 64}"


def _descriptor(digest: str = _A, **notes: str) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": "m", "digest": digest, "size": 1}
    return {**found, "annotations": notes} if notes else found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "format"),
        ("sha256", "format"),
        ("sha256:", "format"),
        (":" + "a" * 64, "format"),
        ("sha256:../" + "a" * 61, "format"),
        ("sha256:" + "A" * 64, "format"),
        ("sha256:" + "a" * 63, "length"),
        ("sha512:" + "a" * 64, "length"),
        ("md5:" + "a" * 32, "unsupported"),
        ("../x:" + "a" * 64, "format"),
    ],
)
def test_a_digest_that_is_none_is_refused(text: str, message: str) -> None:
    """Whatever could be a path is no digest."""
    with pytest.raises(ValueError, match=message):
        parse_digest(text)


def test_a_digest_has_two_parts() -> None:
    """Its algorithm makes the hash."""
    digest = parse_digest(_A)
    assert (digest.algorithm, digest.encoded, str(digest)) == ("sha256", "a" * 64, _A)
    assert digest.hasher().digest_size == 32


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("docker.io/library/app:1", "1"),
        ("r.example:5000/a/b:x.y", "x.y"),
        (f"r.example/app:1@{_A}", f"1@{_A}"),
        ("r.example/app", ""),
        ("app", "app"),
    ],
)
def test_a_name_s_tag_is_what_containerd_makes_of_it(name: str, ref: str) -> None:
    """The tag is all behind the first colon of the path."""
    assert image_name(name) == Name(name, ref)


def test_a_name_gets_a_new_descriptor_and_others_stay() -> None:
    """As docker buildx writes it, byte for byte."""
    index = put(read_index(b""), [_descriptor()], [tag_name("latest")])
    index = put(index, [_descriptor(_B)], [image_name("r.example/app:latest"), tag_name("latest")])
    assert index_text(index).decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        f'{{"mediaType":"m","digest":"{_B}","size":1,"annotations":{{"io.containerd.image.name":"r.example/app:latest",'
        '"org.opencontainers.image.ref.name":"latest"}},'
        f'{{"mediaType":"m","digest":"{_B}","size":1,"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}'
    )


def test_a_name_is_found_before_a_tag() -> None:
    """Of several under one tag all are found, in order."""
    by_tag = [_descriptor(digest, **{"org.opencontainers.image.ref.name": "1"}) for digest in (_A, _B)]
    by_name = _descriptor(_B, **{"io.containerd.image.name": "1"})
    assert named({"manifests": by_tag}, "1") == by_tag
    assert named({"manifests": [*by_tag, by_name]}, "1") == [by_name]
    assert named({"manifests": by_tag}, "2") == []
    assert single({"manifests": by_tag}) is None
    assert single({"manifests": by_tag[:1]}) == by_tag[0]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"manifests": {}},
        {"manifests": [1]},
        {"manifests": [{"digest": 1}]},
        {"manifests": [{"digest": "sha256:../x", "size": 1}]},
        {"manifests": [{"digest": _A, "size": -1}]},
        {"manifests": [{"digest": _A, "size": True}]},
        {"manifests": [{"digest": _A}]},
        {"manifests": [{"digest": _A, "size": 1, "annotations": []}]},
        {"manifests": [{"digest": _A, "size": 1, "annotations": {"a": 1}}]},
        {"manifests": [{"digest": _A, "size": 1, "mediaType": 1}]},
    ],
)
def test_an_index_that_is_none_is_refused(value: object) -> None:
    """A descriptor that was read has a digest, a size, and texts."""
    with pytest.raises(ValueError, match=r"\w"):
        read_index(json.dumps(value).encode())


_NAMES = some.builds(Name, some.sampled_from(["", "a/b:1", "a/b:2"]), some.sampled_from(["", "1", "2"]))


@given(some.lists(some.tuples(some.lists(_NAMES, min_size=1), some.sampled_from([_A, _B]))))
def test_what_was_put_last_is_found(puts: list[tuple[list[Name], str]]) -> None:
    """However often names are given, each has one descriptor: the last one; and the text reads back."""
    index: dict[str, Any] = read_index(b"")
    expected: dict[Name, str] = {}
    for names, digest in puts:
        index = read_index(index_text(put(index, [_descriptor(digest)], names)))
        expected.update(dict.fromkeys(names, digest))
    found = {
        Name(one["annotations"].get("io.containerd.image.name", ""), one["annotations"][_REF]): one["digest"]
        for one in index["manifests"]
    }
    assert found == expected
    assert len(index["manifests"]) == len(expected)


_REF = "org.opencontainers.image.ref.name"
