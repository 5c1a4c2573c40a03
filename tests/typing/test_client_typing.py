"""The typed surface of the build client passes a strict type checker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_client_s_public_types_hold() -> None:
    """mypy --strict accepts tests/typing/client_api.py."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "tests/typing/client_api.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
