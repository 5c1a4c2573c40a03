"""Copies programs of this machine into a tree together with the shared libraries that they load."""

from __future__ import annotations

import re
from pathlib import Path

from localcluster.images.tree import Tree
from localcluster.machine.command import run

__all__ = ["add_program", "libraries_in"]

_LOADED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


def add_program(tree: Tree, path: str, program: Path, capability: int | None = None) -> None:
    """Adds a program at `path`, and each library where the program will look for it. Raises ClusterError."""
    tree.program(path, program, capability)
    for library in libraries_in(run("ldd", str(program))):
        tree.program(library.lstrip("/"), Path(library).resolve())


def libraries_in(ldd: str) -> list[str]:
    """Paths of the libraries in what ldd(1) prints; the kernel's own (vdso) has none."""
    return _LOADED.findall(ldd)
