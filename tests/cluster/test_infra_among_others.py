"""The components among others, in programs as people write them: with Pulumi's engine, on a real cluster."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.infra_project import PulumiProject

pytestmark = pytest.mark.cluster


@pytest.fixture
def project(cluster: dict[str, str], tmp_path: Path) -> Iterator[PulumiProject]:
    """A project with an empty stack, whose objects are deleted in the end."""
    made = PulumiProject(tmp_path / "project", cluster)
    assert made.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
    yield made
    destroyed = made.pulumi("destroy", "--yes", "--skip-preview")
    assert destroyed.status == 0, destroyed.output


def _program(project: PulumiProject, text: str) -> None:
    start = "import pulumi\nfrom buildkit_builders import Builder, BuilderNode\n"
    (project.folder / "stacks" / "__main__.py").write_text(start + textwrap.dedent(text))


def _urns(project: PulumiProject) -> list[str]:
    exported = json.loads(project.pulumi("stack", "export").output)
    return [resource["urn"] for resource in exported["deployment"].get("resources", [])]


def test_every_object_can_be_replaced(project: PulumiProject, namespace: str) -> None:
    """`up --replace` deletes an object before it makes the next of that name."""
    options = "replicas=0,network-policy=true,endpoint.secret=tls"
    project.configure(namespace=namespace, clientServiceAccount="ci", **{"driver-opts": options})
    project.up()
    urns = [urn for urn in _urns(project) if "kubernetes:" in urn.split("::")[2].rpartition("$")[2]]
    urns = [urn for urn in urns if "pulumi:providers" not in urn]
    assert len(urns) == 8
    project.up(*(f"--replace={urn}" for urn in urns))
    done = project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert done.status == 0, done.output


def test_a_kubeconfig_from_a_secret_is_enough(project: PulumiProject, namespace: str) -> None:
    """A builder goes where the secret leads, whatever KUBECONFIG says, in preview and update, and stays as it is."""
    kubeconfig = Path(project.environment["KUBECONFIG"]).read_text()
    set_secret = project.run(
        "pulumi", "config", "set", "--secret", "--stack", "test", "other:kubeconfig", "--", kubeconfig
    )
    assert set_secret.status == 0, set_secret.output
    _program(
        project,
        f"""
        late = pulumi.Config("other").require_secret("kubeconfig")
        options = {{"replicas": 0}}
        args = {{"kubeconfig": late, "namespace": "{namespace}", "driver-opts": options}}
        builder = Builder("kube", args)
        pulumi.export("builder", builder.output)
        """,
    )
    project.environment = {**project.environment, "KUBECONFIG": "/nowhere"}
    preview = project.pulumi("preview")
    assert preview.status == 0, preview.output
    assert "kubernetes:apps/v1:Deployment" in preview.output
    project.up()
    assert project.output()["kubernetes"]["server"] == ""
    done = project.pulumi("preview", "--expect-no-changes")
    assert done.status == 0, done.output
    assert "client-key-data" not in project.pulumi("stack", "export").output


def test_an_output_where_a_name_is_needed_is_told_in_one_line(project: PulumiProject) -> None:
    """No traceback, and nothing is made."""
    _program(
        project,
        """
        Builder("kube", {"nodes": [{"driver-opts": {"rootless": pulumi.Output.from_input(True)}}]})
        """,
    )
    done = project.pulumi("preview")
    assert done.status != 0
    assert "nodes[0].driver-opts.rootless: give a plain value, not an Output" in done.output
    assert "Traceback" not in done.output


def test_builders_with_nodes_of_one_name_live_side_by_side(project: PulumiProject, namespace: str) -> None:
    """A state with the nodes' short names shows no change, and takes a second builder with such a node."""
    twice = f"""
        for name, more in (("kube", {{}}), ("other", {{"serviceaccount": "other"}}))[:COUNT]:
            options = {{"replicas": 0, **more}}
            nodes = [{{"name": "n", "namespace": f"{namespace}-{{name}}"}}]
            Builder(name, {{"nodes": nodes, "createNamespace": True, "driver-opts": options}})
        """
    _program(project, twice.replace("COUNT", "1"))
    project.up()
    path = project.folder / "state.json"
    assert project.pulumi("stack", "export", "--file", str(path)).status == 0
    assert path.read_text().count("::kube-n") > 2
    path.write_text(path.read_text().replace('::kube-n"', '::n"').replace("::kube-n-deployment", "::n-deployment"))
    assert project.pulumi("stack", "import", "--file", str(path)).status == 0
    assert not any(urn.endswith(("::kube-n", "::kube-n-deployment")) for urn in _urns(project))
    done = project.pulumi("preview", "--expect-no-changes")
    assert done.status == 0, done.output
    _program(project, twice.replace("COUNT", "2"))
    project.up()
    urns = _urns(project)
    assert {urn.rpartition("::")[2] for urn in urns} >= {"kube-n", "kube-n-deployment", "other-n", "other-n-deployment"}
    done = project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert done.status == 0, done.output
