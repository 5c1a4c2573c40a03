"""The builder output is a contract: every version ever written stays readable, and what is written is read alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import check_builder
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.output import VERSION, BuilderOutput, OutputError, config_map_name
from buildclient.contract.platform import Platform

STORED = sorted((Path(__file__).parent / "outputs").glob("v*.json"))


def test_one_of_each_version_is_kept() -> None:
    """A new version comes with a stored output of it."""
    assert [path.stem for path in STORED] == [f"v{n}" for n in range(1, VERSION + 1)]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_outputs_stay_readable(path: Path) -> None:
    """An output written by any version so far is read in full."""
    output = BuilderOutput.loads(path.read_text())
    assert (output.name, output.namespace, output.cluster.server) == ("kube", "buildkit", "https://127.0.0.1:6443")
    first, second = output.nodes
    assert first.platforms == (Platform("linux", "amd64"),)
    assert first.selector == {"app": "builder-amd64"}
    assert (first.replicas, first.timeout_seconds) == (2, 120)
    assert second.address == "tcp://192.0.2.7:1234"
    assert second.workload is None


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_what_is_read_is_written_back_alike(path: Path) -> None:
    """Reading and writing loses nothing that a client uses."""
    output = BuilderOutput.loads(path.read_text())
    assert BuilderOutput.loads(output.dumps()) == output


def _doubles(value: Any) -> Any:
    """A value as Pulumi's state has it: every number a double."""
    if isinstance(value, dict):
        return {key: _doubles(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_doubles(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_pulumis_doubles_are_numbers(path: Path) -> None:
    """1.0 is version 1, and 2.0 replicas are 2."""
    raw = json.loads(path.read_text())
    assert BuilderOutput.from_json(_doubles(raw)) == BuilderOutput.from_json(raw)


def test_fields_of_a_newer_writer_are_passed_over() -> None:
    """Additions within a version do not hurt older readers."""
    raw = json.loads(STORED[-1].read_text())
    raw["later"] = {"x": 1}
    raw["nodes"][0]["later"] = [1]
    assert BuilderOutput.from_json(raw) == BuilderOutput.loads(STORED[-1].read_text())


@pytest.mark.parametrize("version", [0, VERSION + 1, 1.5, "1", None, True, [], -1])
def test_other_versions_are_refused(version: Any) -> None:
    """What is no known version is told, not guessed at."""
    raw = {**json.loads(STORED[-1].read_text()), "version": version}
    with pytest.raises(OutputError, match="version"):
        BuilderOutput.from_json(raw)


def test_everything_wrong_is_told_at_once() -> None:
    """One error names every field at fault."""
    raw = json.loads(STORED[-1].read_text())
    raw["name"] = 5
    raw["nodes"][0].update(loadbalance="x", platforms=["linux/"], selector={})
    with pytest.raises(OutputError) as caught:
        BuilderOutput.from_json(raw)
    for field in ("name", "nodes[0].loadbalance", "nodes[0].platforms", "nodes[0].selector"):
        assert field in str(caught.value)


@given(
    st.lists(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"]), unique=True),
    st.integers(0, 100),
    st.integers(1, 3600),
    st.booleans(),
    st.sampled_from(["sticky", "random"]),
)
def test_what_the_pulumi_side_writes_the_client_reads(
    platforms: list[str], replicas: int, seconds: int, rootless: bool, loadbalance: str
) -> None:
    """Any builder that passes the check has an output that reads back equal."""
    options = {"replicas": replicas, "timeout": f"{seconds}s", "rootless": rootless}
    config = {"name": "kube", "loadbalance": loadbalance, "nodes": [{"platforms": platforms, "driver-opts": options}]}
    problems = Problems()
    output = check_builder(config, "default", problems).output(BuilderOutput("x", "y", ()).cluster)
    problems.raise_any()
    assert BuilderOutput.loads(output.dumps()) == output


def test_no_pod_and_no_secret_is_in_the_output() -> None:
    """The fields are just those of the contract."""
    output = BuilderOutput.loads(STORED[-1].read_text()).to_json()
    assert set(output) == {"version", "name", "namespace", "loadbalance", "defaultLoad", "kubernetes", "nodes"}
    assert set(output["nodes"][0]) == {
        "name", "namespace", "loadbalance", "platforms", "workload", "selector", "container", "replicas",
        "timeoutSeconds", "rootless",
    }  # fmt: skip


def test_the_config_map_has_a_name_that_kubernetes_takes() -> None:
    """`_` in a builder's name becomes `-`."""
    assert config_map_name("my_kube") == "my-kube-builder"
