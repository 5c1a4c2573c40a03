"""Outputs: --output, --push and --load."""

from __future__ import annotations

import pytest

from buildclient.base.errors import UsageError
from buildclient.request.destinations import ToFile, ToFolder, ToStdout
from buildclient.request.outputs import build_outputs, parse_output
from buildclient.request.values import Output


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", Output("local", {}, ToFolder("out"))),
        ("-", Output("tar", {}, ToStdout())),
        ("a=b", Output("local", {}, ToFolder("a=b"))),
        ("type=image,push=true", Output("image", {"push": "true"})),
        ("type=oci,dest=x.tar,compression=zstd", Output("oci", {"compression": "zstd"}, ToFile("x.tar"))),
        ('type=local,"dest=a,b"', Output("local", {}, ToFolder("a,b"))),
        ("TYPE=tar,DEST=X", Output("tar", {}, ToFile("X"))),
    ],
)
def test_an_output_is_read(text: str, output: Output) -> None:
    """Short forms, CSV, quotes; keys in any case."""
    assert parse_output(text) == output


@pytest.mark.parametrize(
    ("given_outputs", "outputs"),
    [
        ([], [Output("image", {"push": "true", "unpack": "false"})]),
        ([Output("image", {"name": "x"})], [Output("image", {"name": "x", "push": "true", "unpack": "false"})]),
        ([Output("registry")], [Output("image", {"push": "true", "unpack": "false"})]),
        (
            [Output("oci", {}, ToFile("x"))],
            [Output("oci", {}, ToFile("x")), Output("image", {"push": "true", "unpack": "false"})],
        ),
    ],
)
def test_push_is_put_into_images_or_added(given_outputs: list[Output], outputs: list[Output]) -> None:
    """An image output is pushed; beside other outputs an image comes in addition."""
    assert build_outputs(given_outputs, push=True) == tuple(outputs)


def test_load_is_refused_with_what_to_use() -> None:
    """There is no Docker daemon here."""
    with pytest.raises(UsageError, match="type=docker"):
        build_outputs([], load=True)
