"""Builds the programs of a Go module into a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.tools.report import Report
from localcluster.tools.table import GoModule, Tool

__all__ = ["build", "cache_name"]

_TIMEOUT = 3600
"""Seconds for one build; the slowest takes six minutes on two cores when nothing is cached."""
_WORD = 30
"""Seconds between two words on a build that goes on."""


def cache_name(tool: Tool, module: GoModule) -> str:
    """Folder name in the cache: tool, version, and a hash of all that decides what is built."""
    digest = hashlib.sha256(repr((module.packages, module.ldflags, module.rename, module.links)).encode())
    for file in sorted(module.folder.glob("*")):
        if file.name in ("go.mod", "go.sum") or file.suffix == ".go":
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{tool.name}-{module.version}-{digest.hexdigest()[:10]}"


def build(module: GoModule, folder: Path, report: Report) -> None:
    """Builds into `folder`, with a word to `report` twice a minute. Raises ClusterError.

    An interrupted build costs little to repeat: Go keeps what it compiled.
    """
    go = shutil.which("go")
    if go is None:
        raise ClusterError(f"Go is needed to build {module.folder.name} {module.version}: install Go, put `go` on PATH")
    what = f"{module.folder.name} {module.version}"
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {module.ldflags}"]
    command = [go, "build", *flags, "-o", f"{folder}/", *module.packages]
    status, errors = _run(command, module.folder, lambda seconds: report(f"still building {what} ({seconds:.0f} s)"))
    if status:
        lines = [line for line in errors.splitlines() if line.strip()] or [f"status {status}"]
        raise ClusterError(f"building {what} failed: {lines[-1].strip()}")
    for built, wanted in module.rename.items():
        os.rename(folder / built, folder / wanted)
    for name, target in module.links.items():
        os.symlink(target, folder / name)


def _run(command: list[str], folder: Path, waiting: Callable[[float], None]) -> tuple[int, str]:
    """Status and standard error of a Go command; `waiting` hears now and then for how many seconds it has run."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64"}
    environment |= {"GOTOOLCHAIN": "local", "GOWORK": "off"}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            while True:
                try:
                    errors = process.communicate(timeout=_WORD)[1]
                    return process.returncode, errors
                except subprocess.TimeoutExpired:
                    waiting(time.monotonic() - started)
                    if time.monotonic() - started > _TIMEOUT:
                        return 1, f"no end after {_TIMEOUT} s"
        finally:
            if process.poll() is None:
                process.kill()
