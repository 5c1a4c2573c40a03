"""Runs short commands of the system and turns their failures into one line."""

from __future__ import annotations

import shlex
import subprocess

from localcluster.errors import ClusterError

__all__ = ["run", "succeeds"]


def run(*command: str, timeout: float = 30, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Standard output of a command. Raises ClusterError with its last error line, or when it takes too long (s)."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=env
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shlex.join(command)}: no end after {timeout:.0f} s") from None
    except OSError as error:
        raise ClusterError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ClusterError(f"{shlex.join(command)}: {lines[-1] if lines else f'status {done.returncode}'}")
    return done.stdout


def succeeds(*command: str, timeout: float = 30, env: dict[str, str] | None = None) -> bool:
    """Whether a command ends with status 0 in time."""
    try:
        return (
            subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, env=env
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
