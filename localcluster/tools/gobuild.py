"""Builds the programs of a Go module into a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.tools.table import GoModule, Tool

__all__ = ["build", "cache_name"]

_TIMEOUT = 3600
"""Seconds for one build; the slowest takes six minutes on two cores when nothing is cached."""


def cache_name(tool: Tool, module: GoModule) -> str:
    """Folder name in the cache: tool, version, and a hash of all that decides what is built."""
    digest = hashlib.sha256(repr((module.packages, module.ldflags, module.rename, module.links)).encode())
    for file in sorted(module.folder.glob("*")):
        if file.name in ("go.mod", "go.sum") or file.suffix == ".go":
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{tool.name}-{module.version}-{digest.hexdigest()[:10]}"


def build(module: GoModule, folder: Path) -> None:
    """Builds into `folder`. Raises ClusterError.

    An interrupted build costs little to repeat: Go keeps what it compiled.
    """
    go = shutil.which("go")
    if go is None:
        raise ClusterError(f"Go is needed to build {module.folder.name} {module.version}: install Go, put `go` on PATH")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": "amd64",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    command = [go, "build", "-trimpath", "-ldflags", f"-s -w {module.ldflags}", "-o", f"{folder}/", *module.packages]
    try:
        done = subprocess.run(
            command, cwd=module.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ClusterError(f"building {module.folder.name} {module.version} did not end in {_TIMEOUT} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        raise ClusterError(f"building {module.folder.name} {module.version} failed: {lines[-1].strip()}")
    for built, wanted in module.rename.items():
        os.rename(folder / built, folder / wanted)
    for name, target in module.links.items():
        os.symlink(target, folder / name)
