"""What stops a local cluster on this machine, each in one line, found before any work starts.

Standard library only and quick: it also runs before the virtual environment is there.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from localcluster.instance import Instance, cache_folder, current_instance
from localcluster.machine import binfmt, process

__all__ = ["GO_WANTED", "no_go", "problems", "taken_by"]

GO_WANTED = (1, 26, 8)
"""What go.mod of the tools asks for."""

_OTHER_WAY = "or use a cluster you have: make demo CLUSTER=current"
_DISK = 6 * 2**30
_DISK_COLD = 20 * 2**30
_MEMORY = 3 * 2**30
_CGROUPS = ("cpu", "cpuset", "memory", "pids")
_COMMANDS = {"nsenter": "util-linux", "unshare": "util-linux", "mount": "mount", "ip": "iproute2", "bash": "bash"}


def problems(instance: Instance | None = None) -> list[str]:
    """Everything that is in the way, the first the most basic; each line names the other way. Empty: go ahead."""
    chosen = instance or current_instance()
    for checks in (_BASIC, _CHECKS):
        if found := [f"{text}; {_OTHER_WAY}" for check in checks if (text := check(chosen))]:
            return found
    return []


def _system(_: Instance) -> str:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the local cluster runs on Linux on amd64 only, this is {platform.system()} on {platform.machine()}"
    return ""


def _root(_: Instance) -> str:
    return "" if os.geteuid() == 0 else "the local cluster must be started as root (namespaces, mounts, cgroups)"


def _commands(_: Instance) -> str:
    lacking = {name: package for name, package in _COMMANDS.items() if not _which(name)}
    if not lacking or (_which("apt-get") and set(lacking.values()) <= {"iproute2"}):
        return ""
    return f"{', '.join(lacking)} not found: install {', '.join(sorted(set(lacking.values())))}"


def _namespaces(_: Instance) -> str:
    """Root inside of a container often may not do what root may."""
    boxed = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "mount", "-t", "tmpfs", "none", "/tmp"]
    try:
        done = subprocess.run(boxed, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"namespaces could not be tried: {error}"
    if done.returncode:
        why = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        return (
            f"root may not make namespaces and mount in them here ({why}); in a container, it must be a privileged one"
        )
    return ""


def _go(_: Instance) -> str:
    from localcluster.tools import missing_sources

    built = missing_sources()
    return no_go(built) if built else ""


def no_go(built: Sequence[str]) -> str:
    """Why Go cannot build these, in one line; empty when it can."""
    go = _which("go")
    needed = f"Go {'.'.join(map(str, GO_WANTED))} or newer is needed to build {', '.join(built)}"
    if go is None:
        return f"{needed}, and there is no go on PATH"
    found = _go_version(go)
    if not found:
        return f"{needed}, and {go} does not tell its version"
    if found < GO_WANTED:
        return f"{needed}, {go} is {'.'.join(map(str, found))}"
    return ""


def _packages(_: Instance) -> str:
    from localcluster.tools import missing_packages

    lacking = missing_packages()
    if lacking and not (_which("apt-get") and _which("dpkg-deb")):
        return f"{', '.join(lacking)} not found on PATH, and this is no Debian whose packages could be taken"
    return ""


def _addresses(instance: Instance) -> str:
    """Somebody else's route into the cluster's subnet."""
    with contextlib.suppress(OSError):
        for device in taken_by(Path("/proc/net/route").read_text(), instance.octet):
            if device != instance.host_link:
                return f"the subnet {instance.subnet} is taken: device {device} has a route into it"
    return ""


def taken_by(routes: str, octet: int) -> list[str]:
    """Devices in the text of /proc/net/route that have a route to 10.`octet` or a part of it (proc_net(5))."""
    found = []
    for line in routes.splitlines()[1:]:
        device, destination, *rest = line.split()
        address, mask = (int(field, 16).to_bytes(4, "little") for field in (destination, rest[5]))
        # A wider route, such as the default one, is overruled by the cluster's own.
        if address[:2] == bytes([10, octet]) and mask[:2] == b"\xff\xff":
            found.append(device)
    return found


def _cgroups(_: Instance) -> str:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if any(kind == "cgroup2" and where == "/sys/fs/cgroup" for _, where, kind, *_ in mounts):
        return ""
    first = {option for _, _, kind, options, *_ in mounts if kind == "cgroup" for option in options.split(",")}
    if lacking := [name for name in _CGROUPS if name not in first]:
        return f"no cgroup hierarchy is mounted for {', '.join(lacking)}"
    return ""


def _binfmt(_: Instance) -> str:
    if not binfmt.available():
        return "this kernel cannot emulate another architecture: it has no binfmt_misc (/proc/sys/fs/binfmt_misc)"
    return ""


def _disk(instance: Instance) -> str:
    from localcluster.tools import missing_sources

    wanted = _DISK_COLD if missing_sources() else _DISK
    for folder in (instance.state, cache_folder()):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        if free < wanted:
            return f"{there} has {free / 2**30:.1f} GiB free, {wanted / 2**30:.0f} GiB are needed"
    return ""


def _memory(instance: Instance) -> str:
    if any(process.alive(record) for record in process.records(instance.run)):
        return ""  # it has what it needs already
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    free = int(found[1]) * 1024 if found else _MEMORY
    return "" if free >= _MEMORY else f"{free / 2**30:.1f} GiB of memory are free, {_MEMORY / 2**30:.0f} GiB are needed"


_BASIC: tuple[Callable[[Instance], str], ...] = (_system, _root)
"""Without these, the others would only add confusion."""
_CHECKS: tuple[Callable[[Instance], str], ...] = (
    _commands, _namespaces, _go, _packages, _addresses, _cgroups, _binfmt, _disk, _memory,
)  # fmt: skip


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def _go_version(go: str) -> tuple[int, ...]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [go, "env", "GOVERSION"], cwd="/", env=environment, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
