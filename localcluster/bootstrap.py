"""Makes the virtual environment of a clone: `python3 -m localcluster.bootstrap`.

Standard library only, since it runs before anything is installed. The environment is keyed by the lock file
and the project's metadata: unchanged, a second call does nothing. It is usable or absent: the mark is written
last, so an interrupted installation is taken up again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["APART", "BootstrapError", "ensure", "main", "missing"]

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
_MARK = VENV / ".installed"
APART = ROOT / "requirements-apart.lock"
"""What is installed without its dependencies."""
_KEYED_BY = ("requirements.lock", APART.name, "pyproject.toml")
_PACKAGES = ("infra/buildkit_builders", "buildclient")
"""What is byte-compiled."""
_TIMEOUT = 1200
"""Seconds for one installation step; a slow index is slow, a hanging one is an error."""


class BootstrapError(Exception):
    """The environment cannot be made; the message says why and what to do."""


def missing() -> str:
    """What stops the environment from being made, as one line; empty when nothing does."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it runs on whatever python3 the machine has
        return f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: set PYTHON=python3.11 (or newer)"
    if importlib.util.find_spec("ensurepip") is None and not _can_apt():
        return "Python's venv module is missing: install the package python3-venv"
    return ""


def ensure() -> bool:
    """Makes or completes `.venv`; returns whether there was anything to do. Raises BootstrapError."""
    key = _key()
    if _MARK.exists() and _MARK.read_text() == key:
        return False
    if problem := missing():
        raise BootstrapError(problem)
    python = VENV / "bin" / "python"
    if not _usable(python):
        shutil.rmtree(VENV, ignore_errors=True)
        _install_ensurepip()
        _checked([sys.executable, "-m", "venv", str(VENV)], "making the virtual environment")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _checked([*pip, "--requirement", str(ROOT / "requirements.lock")], "installing what the project builds on")
    _checked([*pip, "--no-deps", "--requirement", str(APART)], "installing what the policies are tested with")
    # The lock file names every version; the project itself is linked, so that edits count at once.
    # It names the build backend too, which pip would else download once more.
    link = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    _checked([*pip, *link], "installing the project")
    # What pip installs has its byte code; a linked project gets none where PYTHONDONTWRITEBYTECODE is set.
    _run([str(python), "-m", "compileall", "-q", *(str(ROOT / name) for name in _PACKAGES)], quiet=True)
    _MARK.write_text(key)
    return True


def main() -> int:
    """Runs `ensure` and says what it did; the exit status is 1 with one line when it cannot."""
    start = time.monotonic()
    try:
        if ensure():
            print(f"virtual environment {VENV} ready after {time.monotonic() - start:.0f} s", file=sys.stderr)
    except BootstrapError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


def _key() -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {VENV}".encode())
    for name in _KEYED_BY:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _usable(python: Path) -> bool:
    """Whether the environment's interpreter is of this Python's version and has pip."""
    if not python.exists():
        return False
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    return _run([str(python), "-c", check], quiet=True) == 0


def _can_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install_ensurepip() -> None:
    """Debian keeps `ensurepip` in a package of its own."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", package]
    if _run(install, environment, quiet=True) != 0:
        _run(["apt-get", "update", "-q"], environment, quiet=True)
        _checked(install, f"installing {package}", environment)


def _checked(command: list[str], doing: str, environment: dict[str, str] | None = None) -> None:
    print(f"  {doing} …", file=sys.stderr, flush=True)
    if status := _run(command, environment):
        raise BootstrapError(f"{doing} failed with status {status}: {' '.join(command)}")


def _run(command: list[str], environment: dict[str, str] | None = None, *, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    try:
        return subprocess.run(
            command, env=environment, stdout=output, stderr=output, timeout=_TIMEOUT, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 124
    except OSError as error:
        raise BootstrapError(f"cannot run {command[0]}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
