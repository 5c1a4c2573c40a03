"""`python -m tests`: the whole suite. First what may run at the same time, then, one by one, what wants quiet.

Most tests on the real parts wait for a pod or a step, not for the processor. Arguments go to both runs of pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[1]
_DESELECTED = "not memory and not olddaemons and not faults"
_NO_TESTS = 5
"""pytest's status where nothing is selected."""


def main(arguments: list[str]) -> int:
    """Runs both; the first status that is not 0."""
    workers = (os.cpu_count() or 1) + 1
    runs = (
        # A file stays in one process: its module's fixtures are builders, pods, whole stacks.
        ["-m", f"{_DESELECTED} and not alone", "-n", str(workers), "--dist", "loadfile"],
        ["-m", f"{_DESELECTED} and alone"],
    )
    statuses = [
        subprocess.run([sys.executable, "-m", "pytest", *run, *arguments], cwd=_ROOT, check=False).returncode
        for run in runs
    ]
    return next((status for status in statuses if status not in (0, _NO_TESTS)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
