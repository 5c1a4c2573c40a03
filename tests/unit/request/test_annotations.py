"""Annotations, and where they go."""

from __future__ import annotations

from buildclient.request.annotations import annotation_attrs, parse_annotations


def test_an_annotation_s_type_and_platform_go_into_the_attribute_s_name() -> None:
    """Several types are several attributes."""
    assert annotation_attrs(parse_annotations(["a=b", "index,manifest[linux/arm64]:c=d=e"])) == {
        "annotation.a": "b",
        "annotation-index.c": "d=e",
        "annotation-manifest[linux/arm64].c": "d=e",
    }
