"""Files of Debian packages, for this machine's architecture or another, without installing anything.

apt works on a state of its own in the cache, with the machine's sources and keys: no list, no status and no
configuration of the machine is changed, and packages of a foreign architecture need no `dpkg --add-architecture`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import cache_folder
from localcluster.tools.cache import locked
from localcluster.tools.report import Report

__all__ = ["ARCHITECTURES", "in_cache", "kept"]

ARCHITECTURES = ("amd64", "arm64", "s390x")
"""Of which packages are wanted: the nodes' two, and a third for what only emulation can run."""

_FRESH = 24 * 3600
"""Seconds that the lists of packages are taken for current."""
_TIMEOUT = 300


def kept(name: str, packages: Sequence[str], keep: Sequence[str], report: Report, architecture: str = "amd64") -> Path:
    """The cache's folder with those files of packages that match a pattern of `keep`; fetched if it is not there.

    It is named by `name`, architecture and the first package's version. Raises ClusterError.
    """
    if found := in_cache(name, architecture):
        return found
    cache = cache_folder()
    with locked(cache / f".{name}-{architecture}.lock"):
        if found := in_cache(name, architecture):
            return found
        report(f"fetching Debian's {', '.join(packages)} for {architecture}")
        for left in cache.glob(f".{name}-{architecture}.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-{architecture}.new-", dir=cache) as work:
            folder = Path(work, "files")
            version = _fetch(packages, keep, folder, architecture, Path(work, "packages"))
            os.rename(folder, target := cache / f"{name}-{architecture}-deb-{version}")
    return target


def in_cache(name: str, architecture: str = "amd64") -> Path | None:
    """The folder that `kept` made earlier, if there is one."""
    return max(cache_folder().glob(f"{name}-{architecture}-deb-*"), default=None)


def _fetch(packages: Sequence[str], keep: Sequence[str], folder: Path, architecture: str, work: Path) -> str:
    """Downloads and unpacks; gives the version of the first package, which is in its file's name."""
    work.mkdir()
    folder.mkdir()
    _apt("apt-get", "download", "-q", *(f"{package}:{architecture}" for package in packages), cwd=work)
    whole = work / "root"
    for file in sorted(work.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(file), str(whole)])
    for pattern in keep:
        matching = list(whole.glob(pattern))
        if not matching:
            raise ClusterError(f"Debian's {', '.join(packages)} for {architecture} has no {pattern}: another release?")
        for found in matching:
            target = folder / found.relative_to(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target, follow_symlinks=False)
    return next(work.glob(f"{packages[0]}_*.deb")).name.split("_")[1].replace("%3a", "-")


def _apt(*command: str, cwd: Path | None = None) -> str:
    root = cache_folder() / "apt"
    configuration = _configuration(root)
    mark = root / "updated"
    environment = {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"}
    with locked(root / "lock"):
        if not mark.exists() or time.time() - mark.stat().st_mtime > _FRESH:
            _run(["apt-get", "update", "-q"], environment)
            mark.touch()
    try:
        return _run(list(command), environment, cwd)
    except ClusterError:
        # The lists may be half there or name what is gone by now: the next try begins with new ones.
        mark.unlink(missing_ok=True)
        raise


def _configuration(root: Path) -> Path:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "state/status").touch()
    names = " ".join(f'"{name}";' for name in ARCHITECTURES)
    file = root / "apt.conf"
    file.write_text(
        'APT::Architecture "amd64";\n'
        "#clear APT::Architectures;\n"
        f"APT::Architectures {{ {names} }};\n"
        f'Dir::State "{root}/state";\n'
        f'Dir::State::status "{root}/state/status";\n'
        f'Dir::Cache "{root}/cache";\n'
        'Acquire::Languages "none";\n'
        # The private folders are root's alone; apt's own user could not write there.
        'APT::Sandbox::User "root";\n'
    )
    return file


def _run(command: list[str], environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{command[0]} did not end within {_TIMEOUT} s") from None
    except OSError as error:
        raise ClusterError(f"cannot run {command[0]}: {error.strerror}; Debian's packages are needed") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        raise ClusterError(f"{' '.join(command[:4])} failed: {lines[-1].strip()}")
    return done.stdout
