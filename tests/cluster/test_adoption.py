"""A builder that docker buildx made is taken over with its pods and caches, and docker buildx goes on using it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import tools
from tests.cluster.infra_project import ROOT, Done, PulumiProject

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

BIN = ROOT / ".venv" / "bin"


class Adopted:
    """A project, and docker buildx's builder `team` of a Deployment and a StatefulSet."""

    def __init__(self, project: PulumiProject, namespace: str, registry: str) -> None:
        self.project, self.namespace = project, namespace
        self._buildx = str(tools.ensure("buildx"))
        project.environment["BUILDX_CONFIG"] = str(project.folder.parent / "buildx")
        settings = project.folder.parent / "buildkitd.toml"
        settings.write_text(f'[registry."{registry}"]\nhttp = true\n')
        common = f'namespace={namespace},"labels=team=a",requests.memory=16Mi,"nodeselector=kubernetes.io/arch=amd64"'
        for number, (platform, more) in enumerate(
            (("linux/amd64", "env.A=b"), ("linux/s390x", "persistent-volume-claim.requests.storage=1Gi"))
        ):
            self.buildx(
                "create", "--name", "team", *(["--append"] if number else []), "--driver", "kubernetes", "--node",
                f"team_{number}", "--platform", platform, "--driver-opt", f"{common},{more}", "--buildkitd-config",
                str(settings),
            )  # fmt: skip

    def buildx(self, *arguments: str) -> Done:
        """Run docker buildx."""
        done = self.project.run(self._buildx, *arguments, timeout=150)
        assert done.status == 0, done.output
        return done

    def builders(self, *arguments: str) -> Done:
        """Run `builders`."""
        return self.project.run(str(BIN / "builders"), *arguments)

    def pods(self) -> dict[str, str]:
        """The pods' uids by name."""
        items: list[dict[str, Any]] = json.loads(
            self.project.kubectl("-n", self.namespace, "get", "pods", "-o", "json")
        )["items"]
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in items}


def test_a_builder_of_docker_buildx_is_taken_over_with_its_pods(
    cluster: dict[str, str], tmp_path: Path, namespace: str
) -> None:
    """No pod is replaced, every step is cached, a second update has nothing to do, and docker buildx still builds."""
    project = PulumiProject(tmp_path / "project", cluster)
    adopted = Adopted(project, namespace, cluster["REGISTRY"])
    refused = adopted.builders("import", "--from-buildx", "team", "--yes")
    assert refused.status == 1
    assert "there is no Deployment team-0" in refused.output.splitlines()[-1]
    adopted.buildx("inspect", "--bootstrap", "team")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {cluster['BASE_IMAGE']}\nRUN echo {namespace} >/made\n")
    build = ("build", "--progress", "plain", "--platform", "linux/amd64")
    adopted.buildx(*build, "--builder", "team", str(context))
    before = adopted.pods()

    done = adopted.builders("import", "--from-buildx", "team", "--yes")
    assert done.status == 0, done.output
    assert adopted.pods() == before
    for arguments in (("preview", "--expect-no-changes"), ("preview", "--expect-no-changes", "--no-refresh")):
        again = adopted.builders(*arguments, "--stack", "team")
        assert again.status == 0, again.output
    ours = project.run(str(BIN / "buildclient"), *build, "--stack", "team", str(context))
    assert ours.status == 0, ours.output
    assert re.search(r"RUN echo .*\n#\d+ CACHED", ours.output), ours.output
    theirs = adopted.buildx(*build, "--builder", "team", str(context))
    assert "CACHED" in theirs.output

    config = yaml.safe_load((project.folder / "stacks/Pulumi.team.yaml").read_text())["config"]
    assert "builder:kubeconfig" not in config
    assert [node["name"] for node in config["builder:nodes"]] == ["team-0", "team-1"]
    refused = adopted.builders("import", "--from-buildx", "team", "--stack", "team", "--yes")
    assert (refused.status, "managed by a Pulumi stack already" in refused.output) == (1, True), refused.output
    for node in config["builder:nodes"]:
        del node["driver-opts"]["pod-patch"]
    (project.folder / "stacks/Pulumi.team.yaml").write_text(yaml.safe_dump({"config": config}))
    done = adopted.builders("preview", "--stack", "team")
    assert "spec.template.spec.containers[0].lifecycle" in done.output, "without the patch the pods are replaced"
    done = adopted.builders("destroy", "--stack", "team", "--yes")
    assert done.status == 0, done.output
