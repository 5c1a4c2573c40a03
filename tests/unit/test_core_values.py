"""Outputs, CSV, limits and metadata: values of the command line and of a build's answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.csvtext import CsvError, csv_fields, csv_line
from buildclient.base.errors import BuildFailed, UsageError
from buildclient.daemon.provenance import Provenance, metadata_mode, provenance_entries
from buildclient.request.annotations import annotation_attrs
from buildclient.request.attrs import without_artifacts
from buildclient.request.flagtext import key_values, parse_attests, parse_cache, parse_context_names
from buildclient.request.limits import parse_host, parse_size, parse_ulimits
from buildclient.request.outputs import build_outputs, parse_output
from buildclient.request.platforms import read_platforms
from buildclient.request.values import NodeResult, Output
from buildclient.results.metadata import build_result, decode_response, metadata_text


@given(st.lists(st.tuples(st.text("ab-.", min_size=1), st.text('ab,"=; é')), min_size=1, max_size=5))
def test_csv_reads_back_what_it_wrote(pairs: list[tuple[str, str]]) -> None:
    """Quotes and commas in values survive."""
    assert csv_fields(csv_line(pairs)) == [f"{key}={value}" for key, value in pairs]


@given(st.text('ab,"'))
def test_csv_either_reads_or_names_the_column(text: str) -> None:
    """No text breaks it in any other way."""
    try:
        csv_fields(text)
    except CsvError as error:
        assert "column" in str(error)  # noqa: PT017 - either end will do


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", Output("local", {}, "out")),
        ("-", Output("tar", {}, "-")),
        ("a=b", Output("local", {}, "a=b")),
        ("type=image,push=true", Output("image", {"push": "true"})),
        ("type=oci,dest=x.tar,compression=zstd", Output("oci", {"compression": "zstd"}, "x.tar")),
        ('type=local,"dest=a,b"', Output("local", {}, "a,b")),
        ("TYPE=tar,DEST=X", Output("tar", {}, "X")),
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
            [Output("oci", {}, "x")],
            [Output("oci", {}, "x"), Output("image", {"push": "true", "unpack": "false"})],
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


def test_a_build_argument_may_come_from_the_environment() -> None:
    """`K` alone takes its value, and is left out where there is none."""
    assert key_values(["A=1", "B", "C", "D="], "--build-arg", {"B": "x"}) == {"A": "1", "B": "x", "D": ""}


@pytest.mark.parametrize(
    ("items", "provenance", "found"),
    [
        ([], "false", {"provenance": None}),
        ([], "true", {"provenance": "type=provenance"}),
        ([], "mode=max", {"provenance": "type=provenance,mode=max"}),
        (["type=sbom,generator=x"], "", {"sbom": "type=sbom,generator=x"}),
    ],
)
def test_attestations_are_read(items: list[str], provenance: str, found: dict[str, str | None]) -> None:
    """The short forms are the long ones."""
    assert parse_attests(items, provenance) == found


def test_caches_are_references_or_types() -> None:
    """A list of references is one entry each; GitHub's is left out without its token and filled in with it."""
    assert parse_cache(["a,b", "type=inline"], {}) == (
        {"type": "registry", "ref": "a"},
        {"type": "registry", "ref": "b"},
        {"type": "inline"},
    )
    assert parse_cache(["type=gha"], {}) == ()
    found = parse_cache(["type=gha,scope=x"], {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": "u"})
    assert found == ({"token": "t", "url": "u", "type": "gha", "scope": "x"},)


def test_a_context_s_name_is_an_image_s() -> None:
    """Docker Hub's own parts and `latest` are left out."""
    found = parse_context_names(["docker.io/library/alpine:latest=a", "q.example/r:1=b"])
    assert found == {"alpine": "a", "q.example/r:1": "b"}


@pytest.mark.parametrize(
    ("text", "count"), [("1024", 1024), ("64m", 64 << 20), ("1.5GiB", 3 << 29), ("5 kb", 5120), (".5k", 512), ("0", 0)]
)
def test_a_size_is_in_units_of_1024(text: str, count: int) -> None:
    """As Docker reads memory sizes."""
    assert parse_size(text, "--shm-size") == count


@given(st.text(max_size=8))
def test_any_size_is_read_or_refused(text: str) -> None:
    """Never negative, and no other error than that of usage."""
    try:
        assert parse_size(text, "--shm-size") >= 0
    except UsageError as error:
        assert "--shm-size" in str(error)  # noqa: PT017 - either end will do


def test_ulimits_come_sorted_with_both_limits() -> None:
    """The last of a name wins."""
    assert parse_ulimits(["nproc=3", "core=-1", "nproc=1:2"]) == ("core=-1:-1", "nproc=1:2")


def test_hosts_take_brackets_and_several_addresses() -> None:
    """One entry an address."""
    assert parse_host("a=[::1]") == ("a=::1",)
    assert parse_host("a:1.2.3.4,::2") == ("a=1.2.3.4", "a=::2")


def test_an_annotation_s_type_and_platform_go_into_the_attribute_s_name() -> None:
    """Several types are several attributes."""
    assert annotation_attrs(["a=b", "index,manifest[linux/arm64]:c=d=e"]) == {
        "annotation.a": "b",
        "annotation-index.c": "d=e",
        "annotation-manifest[linux/arm64].c": "d=e",
    }


def test_platforms_are_read_once_and_local_is_this_machine() -> None:
    """Aliases are the same platform."""
    found = read_platforms(["local,linux/x86_64", "aarch64"], lambda: "linux/amd64")
    assert [str(platform) for platform in found] == ["linux/amd64", "linux/arm64"]


@given(st.text("lniux/amd64*,. ()é", max_size=14))
def test_any_platform_text_is_read_or_refused(text: str) -> None:
    """No other error than that of usage."""
    try:
        read_platforms([text], lambda: "linux/amd64")
    except UsageError as error:
        assert str(error)  # noqa: PT017 - either end will do


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


def test_the_metadata_s_text_is_go_s() -> None:
    """Sorted at the top, indented by two, and with what a browser would take for markup escaped."""
    assert metadata_text({"b": {"z": "<a&b>", "a": [1, {}]}, "a": "ü"}) == (
        '{\n  "a": "ü",\n  "b": {\n    "z": "\\u003ca\\u0026b\\u003e",\n    "a": [\n      1,\n      {}\n    ]\n  }\n}'
    )


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("", "min"),
        ("min", "min"),
        ("max", "max"),
        ("disabled", ""),
        ("0", ""),
        ("false", ""),
        ("1", "min"),
        ("x", "min"),
    ],
)
def test_the_mode_of_the_provenance_is_read_as_docker_buildx_reads_it(value: str, mode: str) -> None:
    """BUILDX_METADATA_PROVENANCE; anything else means the default."""
    assert metadata_mode(value) == mode


SLSA_1 = {
    "buildDefinition": {
        "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
        "externalParameters": {
            "configSource": {"path": "Dockerfile"},
            "request": {"frontend": "dockerfile.v0", "locals": [{"name": "context"}], "compatibilityVersion": 30},
        },
        "internalParameters": {
            "buildConfig": {"llbDefinition": []},
            "builderPlatform": "linux/amd64",
            "targetPlatform": "linux/amd64",
            "dockerfileVersion": "1.28.0",
            "custom": {"a": 1},
        },
        "resolvedDependencies": [{"uri": "pkg:docker/base@1", "digest": {"sha256": "e2"}, "name": "left out"}],
    },
    "runDetails": {
        "builder": {"id": ""},
        "metadata": {
            "invocationId": "i",
            "startedOn": "2026-11-24T19:56:06Z",
            "finishedOn": "2026-11-24T19:56:07Z",
            "buildkit_metadata": {"vcs": {"source": "s"}},
            "buildkit_completeness": {"request": True, "resolvedDependencies": False},
            "buildkit_hermetic": True,
        },
    },
}
MIN = {
    "builder": {"id": ""},
    "buildType": "https://mobyproject.org/buildkit@v1",
    "materials": [{"uri": "pkg:docker/base@1", "digest": {"sha256": "e2"}}],
    "invocation": {
        "configSource": {"entryPoint": "Dockerfile"},
        "parameters": {"frontend": "dockerfile.v0", "locals": [{"name": "context"}], "compatibilityVersion": 30},
        "environment": {"custom": {"a": 1}, "dockerfileVersion": "1.28.0", "platform": "linux/amd64"},
    },
}
MAX = {
    **MIN,
    "buildConfig": {"llbDefinition": []},
    "metadata": {
        "buildInvocationID": "i",
        "buildStartedOn": "2026-11-24T19:56:06Z",
        "buildFinishedOn": "2026-11-24T19:56:07Z",
        "completeness": {"parameters": True, "environment": True, "materials": False},
        "reproducible": False,
        "https://mobyproject.org/buildkit@v1#metadata": {"vcs": {"source": "s"}},
        "https://mobyproject.org/buildkit@v1#hermetic": True,
    },
}


@pytest.mark.parametrize(("mode", "expected"), [("min", MIN), ("max", MAX)])
@pytest.mark.parametrize("version", [1, 2])
def test_a_provenance_is_told_as_docker_buildx_tells_it(mode: str, expected: dict[str, Any], version: int) -> None:
    """The daemon's SLSA 1 as 0.2, in Go's order; 0.2 as it is; steps and times with `max` alone."""
    kept = (
        Provenance("https://slsa.dev/provenance/v1", json.dumps(SLSA_1).encode())
        if version == 1
        else Provenance("https://slsa.dev/provenance/v0.2", json.dumps(MAX).encode())
    )
    entries = provenance_entries({"": kept, "linux/arm64": kept}, mode)
    assert set(entries) == {"buildx.build.provenance", "buildx.build.provenance/linux/arm64"}
    for value in decode_response(entries).values():
        assert json.dumps(value) == json.dumps(expected)


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'{"buildDefinition": 1}', b'{"runDetails": {"builder": [1]}}'])
def test_a_provenance_that_is_none_fails_in_one_line(data: bytes) -> None:
    """Whatever a daemon keeps."""
    with pytest.raises(BuildFailed, match="cannot be read"):
        provenance_entries({"": Provenance("https://slsa.dev/provenance/v1", data)}, "min")


def test_attestations_may_be_kept_from_being_artifacts() -> None:
    """BUILDX_NO_DEFAULT_OCI_ARTIFACT, for registries that refuse them; what an output itself says stays."""
    outputs = (
        Output("image", {"push": "true"}),
        Output("oci", {"oci-artifact": "true"}, "x"),
        Output("local", {}, "y"),
    )
    assert without_artifacts(outputs, None) == outputs
    assert without_artifacts(outputs, "0") == outputs
    assert [output.attrs for output in without_artifacts(outputs, "1")] == [
        {"oci-artifact": "false", "push": "true"},
        {"oci-artifact": "true"},
        {},
    ]
