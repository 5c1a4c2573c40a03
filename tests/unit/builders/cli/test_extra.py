"""`builders` where the extra `infra` or `page` is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pulumi", "pulumi_kubernetes", "starlette"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from buildkit_builders.cli.main import run
run(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["preview", "up --yes", "refresh --yes", "drift", "destroy --yes", "ls"])
def test_without_pulumi_one_line_says_what_to_install(command: str, tmp_path: Path) -> None:
    """Every command that needs Pulumi ends with 1 and names the extra."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *command.split()], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    line = "ERROR: pulumi is not installed: pip install 'buildkit-builders[infra]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_without_pulumi_help_is_there(tmp_path: Path) -> None:
    """Nothing of Pulumi is needed to read what the commands do."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "up", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: builders up")


def test_without_the_extra_page_one_line_says_what_to_install(tmp_path: Path) -> None:
    """`serve` needs Starlette, uvicorn and Jinja2, and says how they come."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "serve"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    line = "ERROR: starlette is not installed: pip install 'buildkit-builders[infra,page]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
