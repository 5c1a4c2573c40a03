"""Which interpreter runs a program, and where the program is. Sources: the options of `runtime:` in Pulumi.yaml."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NoInterpreter", "Program", "activated", "interpreter", "located"]


class NoInterpreter(Exception):
    """The environment that Pulumi.yaml names does not exist, or there is no Python at all."""


@dataclass(frozen=True)
class Program:
    """A program to run."""

    root: Path
    """Where Pulumi.yaml is."""
    folder: Path
    """The folder of `main:`: working directory, and first on `sys.path`."""
    entry: str
    """What to run in it: `.` (its `__main__.py`), or a file."""
    options: Mapping[str, object]


def located(info: object) -> Program:
    """The program of a `ProgramInfo` message."""
    options = dict(info.options.items())  # type: ignore[attr-defined]
    root, folder, entry = info.root_directory, info.program_directory, info.entry_point  # type: ignore[attr-defined]
    return Program(Path(root), Path(folder), entry or ".", options)


def interpreter(program: Program, environment: Mapping[str, str] = os.environ) -> Path:
    """The Python that runs the program: that of `virtualenv`, from Pulumi.yaml's folder, else the first on PATH."""
    named = program.options.get("virtualenv")
    if isinstance(named, str) and named:
        folder = program.root / named
        python = folder / "bin" / "python"
        if not python.exists():
            raise NoInterpreter(
                f"the virtualenv option in Pulumi.yaml is {named!r}, but {folder} is no virtual environment; "
                f"make it: python3 -m venv {folder}, then install the program's packages into it"
            )
        return python
    for name in ("python3", "python"):
        found = shutil.which(name, path=environment.get("PATH"))
        if found:
            return Path(found)
    raise NoInterpreter("no python3 on PATH, and Pulumi.yaml names no virtualenv")


def activated(python: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a program: its virtual environment's commands are the first on PATH, as after `activate`."""
    found = {key: value for key, value in environment.items() if key != "PYTHONHOME"}
    root = python.parent.parent
    if (root / "pyvenv.cfg").exists():
        found["VIRTUAL_ENV"] = str(root)
        found["PATH"] = os.pathsep.join(filter(None, [str(python.parent), environment.get("PATH", "")]))
    return found
