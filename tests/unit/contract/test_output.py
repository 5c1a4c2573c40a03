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


NODE = {"name": "n", "workload": {"kind": "Deployment", "name": "w"}, "selector": {"app": "w"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": float("inf")}, "version must be a whole number from 1"),
        ({"version": float("nan")}, "version must be a whole number from 1"),
        ({"version": 0}, "version must be a whole number from 1"),
        ({"version": 1.5}, "version must be a whole number from 1"),
        ({"version": 10**400}, "version a very large number is newer"),
        ({"name": "a/b"}, "name must be a name"),
        ({"namespace": "kube-system/secrets?"}, "namespace must be a name .*DNS label"),
        ({"kubernetes": {"server": "file:///etc/passwd"}}, "kubernetes.server must be the URL"),
        ({"kubernetes": {"context": "a\x1b[2J"}}, "kubernetes.context must have no control characters"),
    ],
)
def test_foreign_values_are_not_believed(change: dict[str, Any], words: str) -> None:
    """Each is refused as what it is not."""
    with pytest.raises(OutputError, match=words):
        BuilderOutput.from_json({"version": 1, "name": "kube", "namespace": "n", "nodes": [NODE], **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a\x1b[31m"}, "nodes.0..name must have no control characters"),
        ({"namespace": "kube-system/secrets?"}, "nodes.0..namespace must be a name"),
        ({"workload": {"kind": "Deployment", "name": "w?x"}}, "workload.name must be a name .*DNS subdomain"),
        ({"container": "a&command=sh"}, "container must be a name"),
        ({"selector": {"app": "a,b"}}, "'a,b' is no label's value"),
        ({"selector": {"app in (x)": "a"}}, "is no label's key"),
        ({"replicas": 1.7}, "replicas must be a whole number"),
        ({"replicas": float("nan")}, "replicas must be a whole number"),
        ({"replicas": 2**31}, "replicas must be a whole number from 0 to 2147483647"),
        ({"timeoutSeconds": float("nan")}, "timeoutSeconds must be a number from 0 to"),
        ({"timeoutSeconds": 1e308}, "timeoutSeconds must be a number from 0 to"),
        ({"timeoutSeconds": 10**400}, "not a very large number"),
        ({"address": "tcp://host:²"}, "address 'tcp://host:²': '²' is no port"),
        ({"address": "tcp://host:99999"}, "'99999' is no port"),
        ({"endpoint": "unix:///a"}, "endpoint must begin with tcp://, not 'unix:///a'"),
        ({"endpoint": "tcp://h"}, "tcp:// wants HOST:PORT"),
        ({"address": "unix://"}, "unix:// wants the path of a socket"),
        ({"address": "kube-pod://p?pod=q"}, "kube-pod:// takes namespace, context and container, not 'pod'"),
        ({"address": "tcp://h:1", "tls": {"ca": "a\0b"}}, "tls.ca must have no control characters"),
    ],
)
def test_foreign_values_of_a_node_are_not_believed(change: dict[str, Any], words: str) -> None:
    """Names by their kind, numbers in their bounds."""
    with pytest.raises(OutputError, match=words):
        BuilderOutput.from_json({"version": 1, "name": "kube", "nodes": [{**NODE, **change}]})


def test_a_message_is_not_as_long_as_what_it_is_about() -> None:
    """A thousand nodes at fault and a value of a megabyte make some lines."""
    nodes = [{**NODE, "name": "n" * 300_000, "replicas": -1} for _ in range(100)]
    with pytest.raises(OutputError, match="and 180 more") as caught:
        BuilderOutput.from_json({"version": 1, "name": "kube", "nodes": nodes})
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": Infinity}', '{"version": NaN}', "1" * 5000])
def test_text_that_python_alone_takes_is_no_output(text: str) -> None:
    """Deep nesting and numbers that are none."""
    with pytest.raises(OutputError):
        BuilderOutput.loads(text)
