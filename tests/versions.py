"""Runs the fast tests in a virtual environment of their own: `python3.13 -m tests.versions [--lowest]`.

The environment is of the Python that runs this, beside `.venv`, and is made anew each time. Without `--lowest` it has
the versions of requirements.lock. With it, each dependency of pyproject.toml has the lowest version allowed there, and
the tests' own tools and what all of these need are the newest that go with it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcluster.bootstrap import APART

ROOT = Path(__file__).resolve().parent.parent
_BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9.]+)")
_FAST = ("-m", "pytest", "-q", "-n", "2", "-m", "not cluster and not slow", "tests")
_LEFT_OUT = ("buildkit-builders", "import-linter", "ruff")
"""Of the extra `dev`: ourselves, and what no test needs; import-linter wants a newer click than the project does."""
_INSTALL_TIMEOUT, _TEST_TIMEOUT = 900, 1800


def lowest(project: Mapping[str, Any]) -> list[str]:
    """What to install: the lowest versions that pyproject.toml's table `project` allows, and the tests' tools.

    Raises ValueError for a dependency without a lower bound.
    """
    extras = project["optional-dependencies"]
    bounds = []
    for dependency in [*project["dependencies"], *extras["infra"], *extras["speed"]]:
        if not (bound := _BOUND.match(dependency)):
            raise ValueError(f"{dependency} has no lower bound in pyproject.toml")
        bounds.append(f"{bound[1]}=={bound[2]}")
    return [*bounds, *(tool for tool in extras["dev"] if not tool.startswith(_LEFT_OUT))]


def main() -> int:
    """Makes the environment and runs the tests in it; gives the exit status of what failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description="The fast tests, elsewhere.")
    parser.add_argument("--lowest", action="store_true", help="with the lowest versions that pyproject.toml allows")
    arguments = parser.parse_args()
    suffix = f"{sys.version_info.major}.{sys.version_info.minor}{'-lowest' if arguments.lowest else ''}"
    venv = ROOT / f".venv-{suffix}"
    chosen = ROOT / "requirements.lock"
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if status := _run([sys.executable, "-m", "venv", "--clear", str(venv)], _INSTALL_TIMEOUT):
        return status
    if arguments.lowest:
        chosen = venv / "lowest.txt"
        lines = lowest(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
        chosen.write_text("\n".join(lines) + "\n")
    for command, timeout in (
        # Every version in one resolution, so that pip refuses bounds that do not go together.
        ([*pip, "--requirement", str(chosen)], _INSTALL_TIMEOUT),
        ([*pip, "--no-deps", "--requirement", str(APART)], _INSTALL_TIMEOUT),
        ([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], _INSTALL_TIMEOUT),
        ([python, *_FAST], _TEST_TIMEOUT),
    ):
        if status := _run(command, timeout):
            return status
    return 0


def _run(command: list[str], timeout: float) -> int:
    return subprocess.run(command, cwd=ROOT, check=False, timeout=timeout).returncode


if __name__ == "__main__":
    sys.exit(main())
