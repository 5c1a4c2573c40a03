"""The GitHub action and the GitLab template, run as runners would, with the rights that docs/ci.md gives."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.cluster.infra_project import PulumiProject
from tests.cluster.processes import watched
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


@pytest.fixture(scope="module")
def kubeconfig(cluster: dict[str, str], builder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig that docs/ci.md makes, of ServiceAccount `ci`."""
    folder = tmp_path_factory.mktemp("kubeconfig")
    shell(documented("A kubeconfig for it").replace("buildkit", builder), cluster, folder)
    path = folder / "ci.kubeconfig"
    assert "client-certificate-data" not in path.read_text()
    return path


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


class Step(NamedTuple):
    """What a runner sees of a step."""

    status: int
    log: str
    outputs: dict[str, str]
    summary: str
    lines: set[str]
    """Command lines of all processes meanwhile."""


class Runner:
    """Runs the action as GitHub's runner does."""

    def __init__(self, cluster: dict[str, str], folder: Path) -> None:
        self.checkout, self.temp, self.folder = folder / "checkout", folder / "temp", folder
        self.checkout.mkdir()
        self.temp.mkdir()
        self.base = cluster["BASE_IMAGE"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.checkout),
            "GITHUB_REPOSITORY": "you/app",
            "GITHUB_SHA": "0" * 40,
            "GITHUB_REF": "refs/heads/main",
            "RUNNER_TEMP": str(self.temp),
            "BUILDCLIENT_PYTHON": sys.executable,
            "BUILDCLIENT_INSECURE_REGISTRIES": cluster["BUILDCLIENT_INSECURE_REGISTRIES"],
        }

    def write(self, dockerfile: str) -> None:
        """Writes the checkout's Dockerfile; `BASE` stands for the base image."""
        (self.checkout / "Dockerfile").write_text(dockerfile.replace("BASE", self.base))

    def uses(self, given: dict[str, Any], **variables: str) -> Step:
        """Runs the action with the inputs `given`; nothing of it stays in the runner's folder."""
        action = yaml.safe_load((ROOT / "action.yml").read_text())
        values = {f"inputs.{name}": str(one.get("default", "")) for name, one in action["inputs"].items()}
        values["inputs.github-token"] = "ghs_of_the_job"
        for name, value in given.items():
            assert f"inputs.{name}" in values
            values[f"inputs.{name}"] = str(value).lower() if isinstance(value, bool) else value
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        environment = {**self.environment, **variables, **{name: str(path) for name, path in files.items()}}
        log, status = "", 0
        with watched() as lines:
            for step in action["runs"]["steps"]:
                own = {name: filled(value, values) for name, value in step.get("env", {}).items()}
                done = subprocess.run(
                    [step["shell"], "-e", "-c", step["run"]], env={**environment, **own}, cwd=self.checkout, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, check=False,
                )  # fmt: skip
                log, status = log + done.stdout, done.returncode
                if status:
                    break
        assert not list(self.temp.iterdir())
        outputs = re.findall(
            r"^(\w+)<<(\w+)\n(.*?)\n\2\n", files["GITHUB_OUTPUT"].read_text(), re.MULTILINE | re.DOTALL
        )
        summary = files["GITHUB_STEP_SUMMARY"].read_text()
        return Step(status, log, {name: value for name, _, value in outputs}, summary, lines)


@pytest.fixture
def runner(cluster: dict[str, str], tmp_path: Path) -> Runner:
    """A runner with an empty checkout."""
    return Runner(cluster, tmp_path)


def index_of(cluster: dict[str, str], repository: str, reference: str) -> tuple[dict[str, Any], str]:
    """An index in the registry, and its digest."""
    url = f"http://{cluster['REGISTRY']}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT}), timeout=20) as answer:
        return json.load(answer), answer.headers["Docker-Content-Digest"]


def platforms_of(index: dict[str, Any]) -> set[str]:
    """The architectures of an index."""
    return {entry["platform"]["architecture"] for entry in index["manifests"]} - {"unknown"}


def test_the_workflow_builds_with_the_rights_of_a_client(
    cluster: dict[str, str], builder: str, kubeconfig: Path, runner: Runner
) -> None:
    """The example's step, but for its context; the image has both platforms, outputs and summary tell of it."""
    repository, revision = f"ci/{uuid.uuid4().hex[:8]}", "0" * 40
    expressions = {
        "vars.REGISTRY": f"{cluster['REGISTRY']}/{repository}",
        "github.sha": revision,
        "secrets.BUILDER_KUBECONFIG": kubeconfig.read_text(),
        "secrets.REGISTRY_DOCKER_CONFIG": json.dumps({"auths": {}}),
    }
    job: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "ci" / "github-actions.yaml").read_text())["jobs"]
    step = job["image"]["steps"][0]
    given = {
        name: filled(value, expressions) if isinstance(value, str) else value for name, value in step["with"].items()
    }
    given.update(builder=f"{builder}/kube", context=".")
    runner.write("FROM BASE\nRUN uname -m >/machine\n")
    done = runner.uses(given, **{name: filled(value, expressions) for name, value in step["env"].items()})
    assert done.status == 0, done.log
    index, digest = index_of(cluster, f"{repository}/app", revision)
    assert platforms_of(index) == {"amd64", "arm64"}
    assert (done.outputs["digest"], done.outputs["imageid"]) == (digest, digest)
    assert json.loads(done.outputs["metadata"])["containerimage.digest"] == digest
    assert done.summary.startswith("### ✅ Build of ")
    assert f"{repository}/app:{revision}@{digest}" in done.summary
    for name in ("amd64", "arm64"):
        assert re.search(rf"^\| builder-{name} \| linux/{name} \| [0-9.]+ s \| 2 \| ", done.summary, re.MULTILINE)


def test_secrets_and_lists_arrive_as_they_were_written(builder: str, kubeconfig: Path, runner: Runner) -> None:
    """Lines, quotes and commas too; no secret is in the log, in the summary or on a command line."""
    salt = uuid.uuid4().hex
    secrets = {"plain": f"a,b={salt}", "lines": f"{salt}\n  two"}
    runner.write(
        "FROM BASE\nARG ONE\nARG TWO\n"
        + "RUN --mount=type=secret,id=plain --mount=type=secret,id=lines --mount=type=secret,id=variable "
        + "--mount=type=secret,id=file cat /run/secrets/plain /run/secrets/lines /run/secrets/variable "
        + '/run/secrets/file >/found && echo "$ONE|$TWO" >>/found\nFROM scratch\nCOPY --from=0 /found /\n'
    )
    (runner.checkout / "secret.txt").write_text("of the file,")
    given = {
        "builder": f"{builder}/kube",
        "context": ".",
        "outputs": "type=local,dest=out",
        "platforms": "linux/amd64",
        "build-args": 'ONE=1,2"\n"TWO=x ""y"",\nz"',
        "secrets": f'plain={secrets["plain"]}\n"lines={secrets["lines"]}"',
        "secret-envs": "variable=OF_THE_JOB",
        "secret-files": "file=secret.txt",
    }
    done = runner.uses(given, KUBECONFIG=str(kubeconfig), OF_THE_JOB="of the job,")
    assert done.status == 0, done.log
    found = (runner.checkout / "out" / "found").read_text()
    assert found == f'{secrets["plain"]}{secrets["lines"]}of the job,of the file,1,2"|x "y",\nz\n'
    assert done.lines
    for text in (done.log, done.summary, *done.lines):
        assert salt not in text
        assert "ghs_of_the_job" not in text


def test_a_failing_build_fails_the_step_and_says_where(builder: str, kubeconfig: Path, runner: Runner) -> None:
    """Its status, an annotation of the Dockerfile's line, a summary with the step's output; no outputs."""
    runner.write(f"FROM BASE as base\n\nRUN echo {uuid.uuid4().hex} && echo was-here && exit 7\n")
    given = {"builder": f"{builder}/kube", "context": ".", "platforms": "linux/amd64"}
    done = runner.uses(given, KUBECONFIG=str(kubeconfig))
    assert (done.status, done.outputs) == (1, {})
    assert re.search(r"^::error file=Dockerfile,line=3::.*exit code: 7$", done.log, re.MULTILINE), done.log
    assert re.search(r"^::warning file=Dockerfile,line=1,title=FromAsCasing::", done.log, re.MULTILINE), done.log
    assert done.summary.startswith("### ❌ Build of Dockerfile\n")
    assert ">>> RUN echo" in done.summary
    assert "exit code: 7" in done.summary
    assert re.search(r"^[0-9.]+ was-here$", done.summary, re.MULTILINE), done.summary
    quiet = runner.uses(
        {**given, "builder": f"{builder}/none"}, KUBECONFIG=str(kubeconfig), DOCKER_BUILD_SUMMARY="false"
    )
    assert quiet.status not in (0, 1)
    assert "::error::" in quiet.log
    assert quiet.summary == ""


def test_the_gitlab_template_builds_the_example(
    cluster: dict[str, str], builder: str, kubeconfig: Path, runner: Runner
) -> None:
    """Its script with the example's variables; the digest is left for later jobs."""
    template = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".buildclient"]
    job = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab-ci.yml").read_text())["app-image"]
    repository = f"ci/{uuid.uuid4().hex[:8]}"
    given = {
        "CI_REGISTRY": cluster["REGISTRY"],
        "CI_REGISTRY_IMAGE": f"{cluster['REGISTRY']}/{repository}",
        "CI_REGISTRY_USER": "user",
        "CI_REGISTRY_PASSWORD": "password",
        "CI_COMMIT_SHORT_SHA": "c0ffee",
    }
    variables = {**template["variables"], **job["variables"], "BUILDER": f"{builder}/kube"}
    written = {name: re.sub(r"\$(\w+)", lambda found: given[found[1]], value) for name, value in variables.items()}
    runner.write("FROM BASE\nRUN uname -m >/machine\n")
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(runner.folder),
        "GITLAB_CI": "true",
        "KUBECONFIG": str(kubeconfig),
        "BUILDCLIENT_INSECURE_REGISTRIES": cluster["BUILDCLIENT_INSECURE_REGISTRIES"],
        **given,
        **written,
    }
    assert shutil.which("buildclient", path=environment["PATH"])
    shell("\n".join([*template["before_script"], *template["script"]]), environment, runner.checkout)
    for tag in ("c0ffee", "latest"):
        index, digest = index_of(cluster, repository, tag)
        assert platforms_of(index) == {"amd64", "arm64"}
    assert (runner.checkout / "image.env").read_text() == f"IMAGE_DIGEST={digest}\nIMAGE_ID={digest}\n"
    assert (runner.checkout / "metadata.json").exists()
