"""Stack outputs read from disk are what the real Pulumi CLI says they are, in every form it keeps states in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildclient.discovery.pulumi_state import ProjectFolder
from localcluster import tools

pytestmark = pytest.mark.cluster
OUTPUT = {"version": 1.0, "name": "kube", "nodes": [{"name": "a", "address": "tcp://127.0.0.1:1"}]}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with a Pulumi home and a file backend of its own, and a project `builder` in `project`."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "Pulumi.yaml").write_text("name: builder\nruntime: python\n")
    (tmp_path / "state").mkdir()
    return {
        "PATH": f"{tools.ensure('pulumi').parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def pulumi(environ: dict[str, str], *arguments: str, text: str = "") -> str:
    """Standard output of the CLI in the project's folder."""
    done = subprocess.run(
        ["pulumi", "--non-interactive", *arguments],
        cwd=Path(environ["HOME"]) / "project",
        env=environ,
        input=text,
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(environ: dict[str, str], stack: str, value: Any) -> None:
    """Makes a stack, selects it, and gives it output `builder`."""
    pulumi(environ, "stack", "init", stack)
    urn = f"urn:pulumi:{stack}::builder::pulumi:pulumi:Stack::builder-{stack}"
    resource = {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack", "outputs": {"builder": value}}
    deployment = json.loads(pulumi(environ, "stack", "export"))
    deployment["deployment"]["resources"] = [resource]
    pulumi(environ, "stack", "import", text=json.dumps(deployment))


def read(environ: dict[str, str], stack: str = "") -> Any:
    """What the client finds."""
    project = ProjectFolder.find(str(Path(environ["HOME"]) / "project"), environ)
    assert project is not None
    return project.output(stack or project.selected())


@pytest.mark.parametrize(
    ("setting", "suffix"),
    [
        ({}, ".json"),
        ({"PULUMI_DIY_BACKEND_GZIP": "true"}, ".json.gz"),
        (
            {"PULUMI_DIY_BACKEND_LEGACY_LAYOUT": "true", "PULUMI_DIY_BACKEND_IGNORE_DEPRECATION_ERROR": "1"},
            ".json",
        ),
    ],
    ids=["plain", "gzip", "without-project"],
)
def test_a_state_is_read_as_pulumi_reads_it(environ: dict[str, str], setting: dict[str, str], suffix: str) -> None:
    """The selected stack's output is the CLI's, however the backend is told to keep states."""
    environ.update(setting)
    make(environ, "dev", OUTPUT)
    make(environ, "prod", {**OUTPUT, "name": "prod"})
    assert list((Path(environ["HOME"]) / "state").rglob(f"dev{suffix}"))
    assert read(environ) == json.loads(pulumi(environ, "stack", "output", "builder", "--json"))
    assert read(environ, "dev") == OUTPUT
    pulumi(environ, "stack", "select", "dev")
    assert read(environ) == OUTPUT
    project = ProjectFolder.find(str(Path(environ["HOME"]) / "project"), environ)
    assert project is not None
    assert project.stacks() == ["dev", "prod"]


def test_a_state_that_only_pulumi_can_read(environ: dict[str, str]) -> None:
    """Packed with zstd, a state is asked of the CLI, once until it changes."""
    environ["PULUMI_DIY_BACKEND_ZSTD"] = "true"
    make(environ, "dev", OUTPUT)
    assert list((Path(environ["HOME"]) / "state").rglob("dev.json.zst"))
    assert read(environ) == OUTPUT
    without = {**environ, "PATH": "/nowhere"}
    assert read(without) == OUTPUT
    assert read(environ, "organization/builder/dev") == OUTPUT


def test_the_logins_backend_is_pulumis(environ: dict[str, str]) -> None:
    """`pulumi login` decides where nothing else does."""
    make(environ, "dev", OUTPUT)
    url = environ.pop("PULUMI_BACKEND_URL")
    pulumi(environ, "login", url)
    assert json.loads(pulumi(environ, "stack", "output", "builder", "--json")) == read(environ) == OUTPUT
