"""The workflow of examples/ci, run step by step as a runner would, with the rights that docs/ci.md gives it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.infra_project import PulumiProject
from tests.conftest import ROOT

BIN = ROOT / ".venv" / "bin"
ACCEPT = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A builder of two nodes with the ServiceAccount `ci`, as stack `prod` has it; its namespace."""
    namespace = f"ci-{uuid.uuid4().hex[:8]}"
    project = PulumiProject(tmp_path_factory.mktemp("ci") / "project", cluster)
    nodes = [
        {
            "name": f"builder-{name}",
            "platforms": [f"linux/{name}"],
            "driver-opts": f"nodeselector=kubernetes.io/arch={name}",
        }
        for name in ("amd64", "arm64")
    ]
    project.configure(name="kube", namespace=namespace, nodes=nodes, clientServiceAccount="ci", createNamespace=True)
    try:
        assert project.run("pulumi", "stack", "init", "test", "--non-interactive").status == 0
        project.up()
        yield namespace
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")


def documented(heading: str) -> str:
    """The first shell block under a line of docs/ci.md."""
    text = (ROOT / "docs" / "ci.md").read_text()
    found = re.search(r"```sh\n(.*?)```", text[text.index(heading) :], re.DOTALL)
    assert found
    return found[1]


def shell(script: str, environment: dict[str, str], folder: Path) -> str:
    """Runs a script as a workflow's runner does, stopping at the first failure; its standard output."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def filled(value: str, expressions: dict[str, str]) -> str:
    """A workflow's text with its `${{ … }}` filled in; one that is unknown fails the test."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: expressions[found[1]], value)


def test_the_workflow_builds_with_the_rights_of_a_client(cluster: dict[str, str], builder: str, tmp_path: Path) -> None:
    """Each `run` step does as it stands, as ServiceAccount `ci`; the image it pushed has both platforms."""
    shell(documented("A kubeconfig for it").replace("buildkit", builder), cluster, tmp_path)
    repository, revision = f"ci/{uuid.uuid4().hex[:8]}", "0" * 40
    expressions = {
        "vars.REGISTRY": f"{cluster['REGISTRY']}/{repository}",
        "github.sha": revision,
        "github.ref": "refs/heads/main",
        "vars.BUILDERS_REPOSITORY": str(ROOT),
        "secrets.BUILDER_KUBECONFIG": (tmp_path / "ci.kubeconfig").read_text(),
        "secrets.REGISTRY_DOCKER_CONFIG": json.dumps({"auths": {}}),
    }
    assert "client-certificate-data" not in expressions["secrets.BUILDER_KUBECONFIG"]
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "Dockerfile").write_text(f"FROM {cluster['BASE_IMAGE']}\nRUN uname -m >/machine\n")
    files = {name: tmp_path / name for name in ("GITHUB_ENV", "GITHUB_OUTPUT")}
    job: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yaml").read_text())["jobs"][
        "image"
    ]
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CI": "true",
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "BUILDCLIENT_INSECURE_REGISTRIES": cluster["BUILDCLIENT_INSECURE_REGISTRIES"],
        **{name: str(path) for name, path in files.items()},
        **{name: filled(value, expressions) for name, value in job["env"].items()},
        "BUILDER": f"{builder}/{job['env']['BUILDER'].partition('/')[2]}",
    }
    (tmp_path / "runner").mkdir()
    ran = 0
    for step in job["steps"]:
        # What is under test stands in the environment already, without which the job would install it.
        if "run" not in step or "pip install" in step["run"]:
            continue
        own = {name: filled(value, expressions) for name, value in step.get("env", {}).items()}
        for path in files.values():
            path.write_text("")
        shell(step["run"], {**environment, **own}, checkout)
        environment.update(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
        ran += 1
    assert ran == 2
    assert (tmp_path / "runner" / "kubeconfig").stat().st_mode & 0o077 == 0
    url = f"http://{cluster['REGISTRY']}/v2/{repository}/app/manifests/{revision}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT}), timeout=20) as answer:
        index, digest = json.load(answer), answer.headers["Docker-Content-Digest"]
    platforms = {entry["platform"]["architecture"] for entry in index["manifests"]} - {"unknown"}
    assert platforms == {"amd64", "arm64"}
    assert files["GITHUB_OUTPUT"].read_text() == f"digest={digest}\n"
