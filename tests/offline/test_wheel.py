"""The wheel, built from the tree and installed where nothing of the tree can be imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from contract import REPLICAS
from infra.names import builder

from buildkit_builders import Builder

Builder(builder("kube"), {"namespace": "buildkit", "driver-opts": {"replicas": REPLICAS}})
"""
RUNS_PROGRAM = """
import json, os, pathlib, runpy
import buildclient, buildkit_builders, infra, contract
from mocked import KUBECONFIG, run
pathlib.Path("kubeconfig").write_text(KUBECONFIG)
os.environ["KUBECONFIG"] = "kubeconfig"
registered, _ = run(lambda: runpy.run_path("program.py"))
print(json.dumps({
    "types": sorted({one.type for one in registered}),
    "builder": next(one.name for one in registered if one.type == "builder:index:Builder"),
    "replicas": next(one.inputs["spec"]["replicas"] for one in registered if one.type.endswith(":Deployment")),
    "files": [module.__file__ for module in (buildclient, buildkit_builders, infra, contract)],
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the build backend of this environment and no index."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; it sees this one's packages, but not the link to the tree."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    python = folder / "bin" / "python"
    # A folder that a .pth file names is searched, but its own .pth files, such as the link, are not read.
    inside = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(python), "-c", inside], capture_output=True, text=True, check=True, timeout=60)
    Path(site.stdout.strip(), "outside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    return folder


def pip(*arguments: str) -> None:
    """Runs pip; fails the test with its message."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def outside(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder outside the tree, without what could lead Python back into it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_the_wheel_has_two_packages_their_types_their_page_and_the_license(wheel: Path) -> None:
    """No other top-level module, `py.typed` in both, the page's files, and the LICENSE file beside the metadata."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "buildclient",
        "buildkit_builders",
        "buildkit_builders-0.1.0.dist-info",
    }
    assert {"buildclient/py.typed", "buildkit_builders/py.typed"} <= set(names)
    page = {"templates/index.html", "assets/page.css", "assets/page.js"}
    assert {f"buildkit_builders/page/{name}" for name in page} <= set(names)
    kept = zipfile.ZipFile(wheel).read("buildkit_builders-0.1.0.dist-info/licenses/LICENSE")
    assert kept == (ROOT / "LICENSE").read_bytes()
    metadata = zipfile.ZipFile(wheel).read("buildkit_builders-0.1.0.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0\n" in metadata
    assert b"Apache License\n" in kept


@pytest.mark.parametrize("program", ["buildclient", "builders"])
def test_both_programs_run(venv: Path, program: str, tmp_path: Path) -> None:
    """`--version` and `--help` end with 0 and say which program it is."""
    version = outside([str(venv / "bin" / program), "--version"], tmp_path)
    assert (version.returncode, version.stdout, version.stderr) == (0, f"{program} 0.1.0\n", "")
    shown = outside([str(venv / "bin" / program), "--help"], tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"Usage: {program} ")


def test_a_program_may_have_packages_of_its_own_of_any_name(venv: Path, tmp_path: Path) -> None:
    """A Pulumi program with folders `infra` and `contract` uses Builder, and each side gets its own modules."""
    for name, text in (
        ("infra/__init__.py", ""),
        ("infra/names.py", "def builder(name): return f'my-{name}'"),
        ("contract/__init__.py", "REPLICAS = 3"),
        ("program.py", PROGRAM),
        ("run.py", RUNS_PROGRAM),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copy(ROOT / "tests" / "preview" / "mocked.py", tmp_path)
    done = outside([str(venv / "bin" / "python"), "run.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["builder"], found["replicas"]) == ("my-kube", 3)
    assert "kubernetes:apps/v1:Deployment" in found["types"]
    homes = [Path(file) for file in found["files"]]
    assert all(venv in file.parents for file in homes[:2])
    assert all(tmp_path in file.parents for file in homes[2:])
