"""A build's provenance, as metadata tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed
from buildclient.daemon.provenance import Provenance, metadata_mode, provenance_entries
from buildclient.results.metadata import decode_response


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
