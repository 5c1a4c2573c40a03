"""The typed surface of the Pulumi side passes a strict type checker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_public_types_hold() -> None:
    """mypy --strict accepts tests/typing/infra_api.py."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "tests/typing/infra_api.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
