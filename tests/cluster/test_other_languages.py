"""The components as a Pulumi package: a program in YAML with Pulumi's own YAML host and engine, on the real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.infra_project import ROOT, Done
from tests.conftest import kubectl

pytestmark = pytest.mark.cluster

PLUGIN = ROOT / "infra" / "plugin"
_PYTHON = """
import pulumi
from buildkit_builders import Builder

builder = Builder("kube", {
    "namespace": pulumi.Config().require("namespace"),
    "driver-opts": {"requests.cpu": "100m", "env": {"TOKEN": pulumi.Output.secret("hunter2")}},
    "nodes": [{
        "name": "lone", "platforms": ["linux/amd64"], "driver-opts": {"nodeselector": "kubernetes.io/arch=amd64"}
    }],
})
pulumi.export("builder", builder.output)
"""

_PROVIDER = """
import os
import pulumi
import pulumi_kubernetes as k8s

class Remote(pulumi.ComponentResource):
    def __init__(self, name, properties, opts):
        super().__init__("builder:index:Builder", name, {**properties, "output": None}, opts, remote=True)

provider = k8s.Provider("given", context=os.environ["CONTEXT"])
namespace = k8s.core.v1.Namespace("made", opts=pulumi.ResourceOptions(provider=provider))
for name in ("one", "two"):
    Remote(name, {"namespace": namespace.metadata.name}, pulumi.ResourceOptions(providers=[provider]))
"""


class YamlProject:
    """A project in YAML, with its state beside it and one stack `test`."""

    def __init__(self, folder: Path, environment: dict[str, str], program: dict[str, Any], namespace: str) -> None:
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        program["plugins"] = {"providers": [{"name": "builder", "path": str(PLUGIN)}]}
        self.write(program)
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
        }
        assert self.pulumi("stack", "init").status == 0
        assert self.pulumi("config", "set", "namespace", namespace).status == 0

    def write(self, program: dict[str, Any]) -> None:
        """Write the program."""
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(program, sort_keys=False))

    def pulumi(self, *arguments: str) -> Done:
        """Run `pulumi … --stack test`."""
        command = ["pulumi", *arguments, "--stack", "test", "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, timeout=240, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def with_yaml(cluster: dict[str, str]) -> dict[str, str]:
    """The cluster's environment with Pulumi's YAML host on PATH, built if need be."""
    made = subprocess.run(
        [sys.executable, "-m", "localcluster", "tools", "pulumi-yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=1200, check=True,
    )  # fmt: skip
    return {**cluster, "PATH": f"{Path(made.stdout.strip()).parent}{os.pathsep}{cluster['PATH']}"}


@pytest.fixture
def project(with_yaml: dict[str, str], namespace: str, tmp_path: Path) -> Iterator[YamlProject]:
    """The example in YAML, whose objects are deleted in the end."""
    program = yaml.safe_load((ROOT / "examples" / "yaml" / "Pulumi.yaml").read_text())
    made = YamlProject(tmp_path / "project", with_yaml, program, namespace)
    yield made
    if not list((made.folder / "state").rglob("test.json")):
        return
    destroyed = made.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.status == 0, destroyed.output


def simplified(project: YamlProject, **properties: Any) -> dict[str, Any]:
    """The example's program with one node and other properties."""
    program: dict[str, Any] = yaml.safe_load((project.folder / "Pulumi.yaml").read_text())
    program["resources"]["kube"]["properties"] = {"namespace": "${namespace}", **properties}
    return program


def test_the_example_in_yaml_makes_a_builder_that_builds(project: YamlProject, tmp_path: Path) -> None:
    """Namespace and both nodes; a second preview changes nothing; the client finds the builder by the stack."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    assert project.pulumi("config", "set", "namespace", name).status == 0
    up = project.pulumi("up", "--yes", "--skip-preview")
    assert up.status == 0, up.output
    again = project.pulumi("preview", "--expect-no-changes")
    assert again.status == 0, again.output
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    build = subprocess.run(
        ["buildclient", "build", "--project", str(project.folder), "--stack", "test",
         "--platform", "linux/amd64,linux/arm64", "-o", f"type=oci,dest={tmp_path}/out.tar", str(tmp_path)],
        env=project.environment, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr
    assert "builder-amd64" in build.stderr
    assert "builder-arm64" in build.stderr


def test_a_stack_may_change_its_language(project: YamlProject, with_yaml: dict[str, str]) -> None:
    """Made in YAML, the same builder in Python previews without a change; a secret is encrypted in the state."""
    options = {"requestsCpu": "100m", "env": {"TOKEN": {"fn::secret": "hunter2"}}}
    node = {"name": "lone", "platforms": ["linux/amd64"]}
    node["driverOpts"] = {"nodeselector": {"kubernetes.io/arch": "amd64"}}  # type: ignore[assignment]
    program = simplified(project, driverOpts=options, nodes=[node])
    project.write(program)
    up = project.pulumi("up", "--yes", "--skip-preview")
    assert up.status == 0, up.output
    state = project.pulumi("stack", "export").output
    assert "builder:index:Builder$builder:index:BuilderNode$kubernetes:apps/v1:Deployment" in state
    assert "hunter2" not in state
    (project.folder / "__main__.py").write_text(_PYTHON)
    options = {"virtualenv": str(ROOT / ".venv")}
    project.write({"name": program["name"], "runtime": {"name": "python", "options": options}})
    same = project.pulumi("preview", "--diff", "--expect-no-changes")
    assert same.status == 0, same.output


def test_outputs_of_one_component_are_inputs_of_another(project: YamlProject) -> None:
    """In a preview, when they are not known yet: the namespace, an option, a value within an option."""
    program = simplified(project, driverOpts={"labels": {"kind": "${node.kind}"}, "serviceaccount": "${node.name}"})
    program["resources"]["kube"]["properties"]["namespace"] = "${node.namespace}"
    program["resources"]["node"] = {"type": "builder:index:BuilderNode", "properties": {"namespace": "${namespace}"}}
    project.write(program)
    preview = project.pulumi("preview")
    assert preview.status == 0, preview.output
    assert "kube-kube0-deployment" in preview.output


def test_the_provider_of_a_program_is_the_components_own(project: YamlProject) -> None:
    """As in Python: all objects of two builders, made at the same time, are registered with it."""
    (project.folder / "__main__.py").write_text(_PROVIDER)
    runtime = {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}
    project.write({"name": "given", "runtime": runtime, "plugins": simplified(project)["plugins"]})
    project.environment["CONTEXT"] = kubectl(project.environment, "config", "current-context").strip()
    assert project.pulumi("stack", "init").status == 0
    preview = project.pulumi("preview", "--json")
    assert preview.status == 0, preview.output
    planned = json.loads(preview.output[preview.output.index("{\n") :])["steps"]
    states = [one["newState"] for one in planned if one["newState"]["type"].startswith("kubernetes:")]
    assert len(states) == 1 + 2 * 3
    assert {one["provider"].rpartition("::")[0].rpartition("::")[2] for one in states} == {"given"}


def test_every_problem_is_shown_at_its_property(project: YamlProject) -> None:
    """By the engine, in the names that the program used, without a traceback; nothing is made."""
    nodes = [{"name": "a", "driverOpts": {"replicas": -2, "requestsCpu": "lots"}}]
    project.write(simplified(project, nodes=nodes))
    refused = project.pulumi("preview")
    assert refused.status != 0
    assert "2 problems in Builder kube; nothing was changed" in refused.output
    assert "property nodes[0].driverOpts.requestsCpu" in refused.output
    assert "property nodes[0].driverOpts.replicas" in refused.output
    assert "Traceback" not in refused.output


def test_pulumi_reads_the_schema_as_it_is_written(with_yaml: dict[str, str], tmp_path: Path) -> None:
    """Pulumi's own binder, behind `pulumi package get-schema`, takes every type and gives the same back."""
    plugin = tmp_path / "pulumi-resource-builder"
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -u {PLUGIN} "$@"\n')
    plugin.chmod(0o755)
    done = subprocess.run(
        ["pulumi", "package", "get-schema", str(plugin)],
        cwd=tmp_path, env=with_yaml, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    found.pop("config")
    assert found == json.loads((PLUGIN / "schema.json").read_text())
