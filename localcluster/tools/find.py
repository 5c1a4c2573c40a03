"""Looks for a tool on PATH and judges what it finds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from localcluster.tools.elf import is_dynamic
from localcluster.tools.table import Program, Tool
from localcluster.tools.version import parse_version

__all__ = ["on_path", "unfit"]

_TIMEOUT = 20
_ALSO = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps programs of root; a PATH taken over from a plain user lacks them."""


def on_path(tool: Tool, without: Path | None = None) -> dict[str, Path] | None:
    """Where PATH has the tool's programs, each of them fit; None when one is missing or unfit.

    Folders inside `without` (our own cache) do not count: what is there is keyed by version already.
    """
    path = os.pathsep.join(
        folder
        for folder in [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_ALSO]
        if folder and not (without and Path(folder).resolve().is_relative_to(without.resolve()))
    )
    found = {}
    for program in tool.programs:
        file = shutil.which(program.name, path=path)
        if file is None or unfit(program, Path(file)):
            return None
        found[program.name] = _settled(Path(file))
    return found


def _settled(file: Path) -> Path:
    """The same path whatever PATH led to it; a program that acts by the name of its link keeps that link."""
    real = file.resolve()
    return real if real.name == file.name else file


def unfit(program: Program, file: Path) -> str:
    """Why a found program will not do, in a few words; empty when it will."""
    if program.static and is_dynamic(file):
        return "it needs shared libraries"
    if not program.least and not program.below:
        return ""
    try:
        done = subprocess.run(
            [file, *program.ask],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not run: {error}"
    version = parse_version(done.stdout + done.stderr)
    if version is None:
        return "it does not tell its version"
    if version < program.least or (program.below and version >= program.below):
        return f"it is version {'.'.join(map(str, version))}"
    return ""
