"""Outputs of other resources as args, in previews and updates with Pulumi's engine on a real cluster."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildclient.contract.output import BuilderOutput
from tests.cluster.infra_project import PulumiProject

pytestmark = pytest.mark.cluster

_PROGRAM = """
    import pulumi
    import pulumi_kubernetes as k8s
    from buildkit_builders import Builder, BuilderArgs, DriverOptsArgs

    config = pulumi.Config("other")
    namespace = k8s.core.v1.Namespace("outputs")
    name = namespace.metadata.name
    token = k8s.core.v1.Secret("token", metadata={"namespace": name}, string_data={"token": "a"})
    account = k8s.core.v1.ServiceAccount("account", metadata={"namespace": name})
    facts = k8s.core.v1.ConfigMap(
        "facts", metadata={"namespace": name, "name": "facts"}, data={"image": IMAGE, "team": "blue"}
    )
    builder = Builder("kube", BuilderArgs(
        namespace=name,
        client_service_account="ci",
        driver_opts=DriverOptsArgs(
            image=facts.data["image"],
            nodeselector={"kubernetes.io/arch": "amd64"},
            labels={"team": facts.data["team"], "account": account.id.apply(lambda both: both.split("/")[1])},
            env={"PASSWORD": config.require_secret("password")},
            volumes=[{"name": "token", "secret": {"secretName": token.metadata.name}}],
            volumemounts=[{"name": "token", "mountPath": "/token"}],
            termination_grace_period="5s",
        ),
    ))
    pulumi.export("builder", builder.output)
    """


class Program:
    """A project whose program takes Outputs."""

    def __init__(self, project: PulumiProject, image: str) -> None:
        self.project, self.image = project, image
        assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
        set_secret = project.pulumi("config", "set", "--secret", "other:password", "hunter2")
        assert set_secret.status == 0, set_secret.output
        self.write(image)

    def write(self, image: str) -> None:
        """Writes the program, with what the other resource gives as the image."""
        text = textwrap.dedent(_PROGRAM).replace("IMAGE", repr(image))
        (self.project.folder / "stacks" / "__main__.py").write_text(text)

    def state(self) -> list[dict[str, Any]]:
        """The resources of the state."""
        exported = json.loads(self.project.pulumi("stack", "export").output)
        return list(exported["deployment"].get("resources", []))


@pytest.fixture
def program(cluster: dict[str, str], tmp_path: Path) -> Iterator[Program]:
    """The program, whose objects are deleted in the end."""
    made = Program(PulumiProject(tmp_path / "project", cluster), "moby/buildkit:buildx-stable-1")
    yield made
    destroyed = made.project.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.status == 0, destroyed.output


def test_a_builder_takes_what_other_resources_give(program: Program) -> None:
    """A generated namespace, a Secret's name, an image: in preview, pod and output; wrong ones leave nothing behind."""
    project = program.project
    preview = project.pulumi("preview", "--diff")
    assert preview.status == 0, preview.output
    assert "late-" not in preview.output
    lines = [line.split() for line in preview.output.splitlines()]
    for shown in (["account:", "[unknown]"], ["team", ":", '"blue"'], ["replicas:", "1"], ["secretName:"]):
        assert any(line[: len(shown)] == shown for line in lines), preview.output
    program.write("Not an image")
    _refused(project)
    urns = [one["urn"] for one in program.state()]
    assert any("::outputs" in urn for urn in urns), "other resources are made"
    assert not [urn for urn in urns if "Builder$kubernetes:" in urn or "BuilderNode$" in urn], "none of the builder is"
    program.write(program.image)
    project.up()
    output = BuilderOutput.from_json(project.output())
    namespace = output.namespace
    assert namespace.startswith("outputs-")
    node = output.nodes[0]
    assert node.namespace == namespace
    live = json.loads(project.kubectl("-n", namespace, "get", "deploy", "kube0", "-o", "json"))
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == program.image
    assert live["metadata"]["labels"]["account"].startswith("account-")
    said = project.kubectl(
        "-n", namespace, "exec", "deploy/kube0", "--", "sh", "-c", "cat /token/token; echo $PASSWORD"
    )
    assert said == "ahunter2\n"
    done = project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert done.status == 0, done.output
    assert "hunter2" not in json.dumps(program.state())
    program.write("Not an image")
    _refused(project)
    again = json.loads(project.kubectl("-n", namespace, "get", "deploy", "kube0", "-o", "json"))
    assert again["metadata"]["generation"] == live["metadata"]["generation"]


def _refused(project: PulumiProject) -> None:
    wrong = project.pulumi("up", "--yes", "--skip-preview")
    assert wrong.status != 0
    assert 'driver-opts.image: "Not an image" is refused: give an image reference' in wrong.output
    assert "Traceback" not in wrong.output
    assert wrong.output.count("is refused") == 1, wrong.output
