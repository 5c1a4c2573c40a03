"""The host of the Pulumi package: args from properties, problems by property, and its process over gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
from buildkit_builders.package.host import BuilderProvider, builder_args, node_args
from buildkit_builders.package.schema import schema
from pulumi.errors import InputPropertiesError
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

PLUGIN = Path(__file__).resolve().parents[4] / "infra" / "plugin"

_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
"""


def test_properties_become_the_keys_of_docker_buildx() -> None:
    """At every depth where names are ours; whole numbers come as floats and are whole again."""
    inputs = {
        "createNamespace": True,
        "driverOpts": {"requestsCpu": "2", "env": {"requestsCpu": "kept"}},
        "nodes": [{"platforms": ["linux/amd64"], "driverOpts": {"replicas": 2.0, "affinity": {"weight": 1.0}}}],
        "clients": [{"subject": "team/ci", "events": True}],
    }
    assert builder_args(inputs) == {
        "createNamespace": True,
        "driver-opts": {"requests.cpu": "2", "env": {"requestsCpu": "kept"}},
        "nodes": [{"platforms": ["linux/amd64"], "driver-opts": {"replicas": 2, "affinity": {"weight": 1}}}],
        "clients": [{"subject": "team/ci", "events": True}],
    }
    assert node_args({"defaultLoad": False}) == {"default-load": False}


def test_values_that_are_not_known_yet_pass_as_they_are() -> None:
    """Outputs at their place, also in place of a whole mapping, where the component says that this cannot be."""
    output: Any = object()
    assert builder_args({"driverOpts": {"image": output}, "nodes": output}) == {
        "driver-opts": {"image": output},
        "nodes": output,
    }


def test_every_problem_is_told_by_property(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, in the names that the program used."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    inputs = {"namespace": "Upper", "nodes": [{"driverOpts": {"replicas": -1.0, "replica": 3.0}}]}
    with pytest.raises(InputPropertiesError, match="3 problems in Builder kube; nothing was changed") as caught:
        BuilderProvider().construct("kube", "builder:index:Builder", inputs)
    found = {one["property_path"]: one["reason"] for one in caught.value.errors or []}
    assert found.keys() == {"namespace", "nodes[0].driverOpts.replicas", "nodes[0].driverOpts"}
    assert found["nodes[0].driverOpts"] == 'there is no option "replica" (did you mean "replicas"?)'
    assert found["namespace"].startswith('"Upper" is refused: give a name')


def test_a_node_by_itself_has_its_problems_told_too() -> None:
    """Component BuilderNode."""
    with pytest.raises(InputPropertiesError, match="1 problem in BuilderNode n") as caught:
        BuilderProvider().construct("n", "builder:index:BuilderNode", {"driverOpts": {"limitsCpu": "much"}})
    assert [one["property_path"] for one in caught.value.errors or []] == ["driverOpts.limitsCpu"]


def test_another_component_is_refused_by_name() -> None:
    """With those that there are."""
    with pytest.raises(InputPropertiesError, match=r"has builder:index:Builder and .*Node, not builder:index:Bilder$"):
        BuilderProvider().construct("kube", "builder:index:Bilder", {})


def test_what_stops_a_program_in_python_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a builder that is recorded in another cluster: the server would show the exception's class."""

    def refuse(*_: object) -> None:
        raise pulumi.RunError("kube is in another cluster")

    monkeypatch.setattr("buildkit_builders.package.host.Builder", refuse)
    with pytest.raises(InputPropertiesError, match=r"^kube is in another cluster$"):
        BuilderProvider().construct("kube", "builder:index:Builder", {})


def test_the_plugins_process_serves_the_schema() -> None:
    """Started as Pulumi's Python host starts it: the port on standard output, then GetSchema and GetPluginInfo."""
    command = [sys.executable, "-u", str(PLUGIN), "--logtostderr", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                answer = stub.GetSchema(provider_pb2.GetSchemaRequest(), timeout=20)
                assert json.loads(answer.schema) == schema()
        finally:
            process.terminate()
