"""What older daemons lack: recorded answers of real ones, and the line that refuses a build."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.daemon.features import (
    BUILD_FEATURES,
    common_attrs,
    known_version,
    lacking,
    refusal,
    used_features,
)
from buildclient.daemon.status import workers
from buildclient.proto import control_pb2 as pb
from buildclient.request.solve import Exporter, SolveRequest

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "daemons.json").read_text())
"""Version -> what a buildkitd of that version answered, in base64."""
PLAIN = SolveRequest("ref", "dockerfile.v0", {"platform": "linux/amd64"}, (Exporter("image", {"push": "true"}),))
NEEDING = {
    "several outputs in one build": PLAIN._replace(exporters=(Exporter("image"), Exporter("local"))),
    "rewrite-timestamp of outputs": PLAIN._replace(exporters=(Exporter("image", {"rewrite-timestamp": "true"}),)),
    "contexts from another session": PLAIN._replace(frontend_attrs={"local-sessionid:context": "x"}),
    "oci-artifact of outputs": PLAIN._replace(exporters=(Exporter("oci", {"oci-artifact": "1"}),)),
    "entitlement for devices": PLAIN._replace(entitlements=("device=nvidia.com/gpu",)),
    "provenance in SLSA's version 1": PLAIN._replace(
        frontend_attrs={"attest:provenance": "mode=max,version=v1"},
    ),
    "mode=delete of outputs": PLAIN._replace(exporters=(Exporter("local", {"mode": "delete"}),)),
    "limits of resources": PLAIN._replace(frontend_attrs={"memory": "1000"}),
}


@pytest.mark.parametrize("version", RECORDED)
def test_the_version_of_a_real_daemon_is_read(version: str) -> None:
    """From the answer that is asked for anyway; it is that of the program."""
    (worker,) = workers(pb.ListWorkersResponse.FromString(base64.b64decode(RECORDED[version]["ListWorkers"])))
    info = pb.InfoResponse.FromString(base64.b64decode(RECORDED[version]["Info"]))
    assert worker.buildkit_version == info.buildkit_version.version == version
    assert worker.platforms


def test_every_feature_is_noticed_in_a_request_and_in_no_other() -> None:
    """A plain build needs none, so nobody is asked for a version."""
    assert used_features(PLAIN) == []
    assert [feature.text for feature in BUILD_FEATURES] == list(NEEDING)
    for text, request in NEEDING.items():
        assert [feature.text for feature in used_features(request)] == [text]


@pytest.mark.parametrize(
    ("version", "lacks"),
    [
        ("", 8),
        ("v0.12.5", 8),
        ("v0.13.2", 6),
        ("v0.16.0", 5),
        ("v0.22.0", 3),
        ("v0.29.0", 2),
        ("v0.31.0-rc1", 0),
        ("v0.34.2", 0),
        ("v0.34.2-12-gdeadbee.m", 0),
        ("1.0.0", 0),
        ("v0.0.0+unknown", 0),
        ("dev", 0),
    ],
)
def test_a_daemon_lacks_what_came_after_it(version: str, lacks: int) -> None:
    """One that does not know its version is believed to have all; one that tells none is older than v0.11."""
    assert len(lacking(BUILD_FEATURES, version)) == lacks


def test_the_refusal_is_one_line() -> None:
    """Version, what is missing, what has it, and the node."""
    features = used_features(NEEDING["mode=delete of outputs"])
    assert refusal(features, "v0.13.2", "amd64") == (
        "the builder's BuildKit v0.13.2 has no mode=delete of outputs: needs v0.31 or newer (node amd64)"
    )
    features += used_features(NEEDING["oci-artifact of outputs"])
    assert refusal(features, "", "a") == (
        "the builder's BuildKit, older than v0.11, has no mode=delete of outputs and no oci-artifact of outputs: "
        "needs v0.31 or newer (node a)"
    )


@pytest.mark.parametrize(
    ("versions", "attrs"),
    [
        (["v0.34.2", "v0.34.2"], {}),
        (["v0.13.2", "v0.29.0"], {}),
        (["v0.34.2", "v0.32.0", ""], {"oci-mediatypes": "true", "oci-artifact": "false"}),
        (["v0.29.0", "v0.34.2"], {"oci-mediatypes": "true", "oci-artifact": "false"}),
        (["v0.31.0", "v0.34.2"], {"oci-artifact": "false"}),
        (["v0.29.0", "v0.31.0"], {"oci-mediatypes": "true"}),
        (["v0.34.2", "dev"], {}),
        ([], {}),
    ],
)
def test_nodes_of_several_versions_write_one_kind_of_image(versions: list[str], attrs: dict[str, str]) -> None:
    """The newest kind that all of them know, said only where they would differ."""
    assert common_attrs(versions) == attrs


@given(st.text())
def test_any_text_is_a_version_or_unknown(text: str) -> None:
    """What a daemon says of itself is foreign text."""
    version = known_version(text)
    assert version is None or version >= (0, 0)


@given(st.integers(0, 99), st.integers(1, 99), st.integers(0, 99), st.sampled_from(["", "-rc1", "+x", ".m", "-3-gabc"]))
def test_a_version_is_its_first_two_numbers(major: int, minor: int, patch: int, end: str) -> None:
    """With a v or without."""
    assert known_version(f"v{major}.{minor}.{patch}{end}") == (major, minor)
    assert known_version(f"{major}.{minor}") == (major, minor)
