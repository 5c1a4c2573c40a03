"""Outputs: --output, --push and --load."""

from __future__ import annotations

import pytest

from buildclient.request.destinations import ToEngine, ToFile, ToFolder, ToStdout
from buildclient.request.outputs import build_outputs, loads, parse_output, with_default_load
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


@pytest.mark.parametrize(
    ("texts", "outputs"),
    [
        ([], [Output("docker", {}, ToEngine())]),
        (["type=docker"], [Output("docker", {}, ToEngine())]),
        (["type=docker,context=far,compression=zstd"], [Output("docker", {"compression": "zstd"}, ToEngine("far"))]),
        (["type=docker,dest=x"], [Output("docker", {}, ToFile("x")), Output("docker", {}, ToEngine())]),
        (["type=docker,dest=-"], [Output("docker", {}, ToStdout()), Output("docker", {}, ToEngine())]),
        (["out"], [Output("local", {}, ToFolder("out")), Output("docker", {}, ToEngine())]),
    ],
)
def test_load_is_added_unless_an_output_loads(texts: list[str], outputs: list[Output]) -> None:
    """A docker output without a file goes into an engine, which its attribute `context` may name."""
    assert build_outputs([parse_output(text) for text in texts], load=True) == tuple(outputs)
    assert loads(outputs)


@pytest.mark.parametrize(
    ("default_load", "outputs", "environ", "loaded"),
    [
        (True, (), {}, True),
        (True, (), {"BUILDX_NO_DEFAULT_LOAD": "0"}, True),
        (True, (), {"BUILDX_NO_DEFAULT_LOAD": "true"}, False),
        (True, (Output("cacheonly"),), {}, False),
        (False, (), {}, False),
    ],
)
def test_a_builder_loads_by_default_what_has_no_output(
    default_load: bool, outputs: tuple[Output, ...], environ: dict[str, str], loaded: bool
) -> None:
    """An output, or the variable of docker buildx, says otherwise."""
    assert loads(with_default_load(default_load, outputs, environ)) is loaded
