"""Commands of the base system that a very small installation lacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from localcluster.machine.command import run, succeeds

__all__ = ["ensure_commands"]

_COMMANDS = {"ip": "iproute2"}
"""Command -> Debian package. None of them starts anything, so they are simply installed."""


def ensure_commands(say: Callable[[str], None]) -> None:
    """Installs the packages of commands that are not there. Raises ClusterError."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    packages = [package for name, package in _COMMANDS.items() if not shutil.which(name, path=path)]
    if not packages:
        return
    say(f"installing {', '.join(packages)}")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive"}
    if not succeeds(*install, timeout=300, env=environment):
        run("apt-get", "update", "-q", timeout=300)
        run(*install, timeout=300, env=environment)
