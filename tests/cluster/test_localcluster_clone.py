"""A clone stays as it was cloned, whatever the demo's commands write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from localcluster.environment import write_stack_config

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]


def test_a_clone_is_clean_after_a_preview_of_stack_local(cluster: dict[str, str], tmp_path: Path) -> None:
    """Pulumi makes the stack and writes its salt, and `git status` shows nothing."""
    clone, state = tmp_path / "clone", tmp_path / "state"
    state.mkdir()
    environment = {**cluster, "PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_STACK": "local"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=60)
    (clone / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (clone / ".venv" / name).symlink_to(ROOT / ".venv" / name)
    config = write_stack_config(clone / "stacks")
    assert "kube-builder-arm64-deployment" in run("builders", "preview")
    assert "encryptionsalt" in config.read_text()
    assert run("git", "status", "--porcelain") == ""
