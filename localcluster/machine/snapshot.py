"""What a cluster could leave behind on a machine, as lines that can be compared: before `up` and after `down`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from localcluster.machine import binfmt
from localcluster.machine.cgroups import hierarchies

__all__ = ["Snapshot", "compare", "take"]

_COMMANDS = {
    "links": ("ip", "-o", "link"),
    "addresses": ("ip", "-o", "addr"),
    "routes": ("ip", "route", "show", "table", "all"),
    "policy routes": ("ip", "rule"),
    "packet filter": ("iptables-save",),
    "packet filter (legacy)": ("iptables-legacy-save",),
    "packet filter (nft)": ("nft", "list", "ruleset"),
    "network namespaces": ("ip", "netns", "list"),
}
_VOLATILE = re.compile(
    r"fs/(dentry-state|file-nr|inode-nr|inode-state|quota/.*|aio-nr|binfmt_misc/.*)"
    r"|kernel/(ns_last_pid|random/.*|pty/nr|sched_domain/.*|threads-max|tainted)"
    r"|net/(ipv4|ipv6)/(conf|neigh)/(?!all/|default/).*"
    r"|net/netfilter/nf_conntrack_count|.*flush|vm/(stat_refresh|drop_caches|compact_memory)"
)
"""Kernel settings that move by themselves, belong to one device, or do something when read."""
_COUNTERS = re.compile(r"\[\d+:\d+\]|valid_lft \S+|preferred_lft \S+|^\d+: |\bexpires \S+|\bqlen \d+")


class Snapshot(NamedTuple):
    """Lines by kind of thing."""

    lines: dict[str, frozenset[str]]


def take() -> Snapshot:
    """Looks at this machine: network, packet filter, mounts, cgroups, kernel settings, boxed processes."""
    found: dict[str, frozenset[str]] = {name: _printed(command) for name, command in _COMMANDS.items()}
    found |= {name: frozenset(look()) for name, look in _LOOKS.items()}
    return Snapshot(found)


def compare(before: Snapshot, after: Snapshot, ignoring: str = "") -> list[str]:
    """What differs, a line each (`+` new, `-` gone); lines that match the pattern `ignoring` do not count."""
    skip = re.compile(ignoring) if ignoring else None
    differences = []
    for kind in sorted(before.lines.keys() | after.lines.keys()):
        one, other = before.lines.get(kind, frozenset()), after.lines.get(kind, frozenset())
        signed = [("-", line) for line in sorted(one - other)] + [("+", line) for line in sorted(other - one)]
        differences += [f"{sign} {kind}: {line}" for sign, line in signed if not (skip and skip.search(line))]
    return differences


def _printed(command: tuple[str, ...]) -> frozenset[str]:
    if not shutil.which(command[0]):
        return frozenset()
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    lines = (_COUNTERS.sub("", line).strip() for line in done.stdout.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _mounts() -> Iterable[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        yield f"{fields[4]} {fields[3]} {after.split()[0]}"


def _cgroups() -> Iterable[str]:
    for root in hierarchies():
        for folder, _, _ in os.walk(root):
            yield folder


def _settings() -> Iterable[str]:
    root = Path("/proc/sys")
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            short = str(path.relative_to(root))
            if not _VOLATILE.fullmatch(short) and (value := _read(path)):
                yield f"{short} = {value}"


def _emulators() -> Iterable[str]:
    for name, interpreter in binfmt.entries().items():
        yield f"{name} {interpreter}"


def _read(path: Path) -> str:
    if not path.stat().st_mode & 0o444:
        return ""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _processes() -> Iterable[str]:
    """Processes in a network, mount or process namespace other than this one's, and where they are."""
    names = {}
    if Path("/run/netns").is_dir():
        names = {path.stat().st_ino: path.name for path in Path("/run/netns").iterdir()}
    here = _namespaces("self")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            spaces = _namespaces(folder.name)
            if spaces != here and (folder / "cmdline").read_bytes():
                # Not every hierarchy holds a container's processes in a cgroup of its own: the deepest one tells most.
                paths = (line.split(":", 2)[2] for line in (folder / "cgroup").read_text().splitlines())
                cgroup = max(paths, key=len, default="/")
                yield f"{(folder / 'comm').read_text().strip()} in {names.get(spaces[0], 'a network')} {cgroup}"
        except OSError:
            continue


def _namespaces(process: str) -> tuple[int, ...]:
    return tuple(os.stat(f"/proc/{process}/ns/{kind}").st_ino for kind in ("net", "mnt", "pid"))


_LOOKS: dict[str, Callable[[], Iterable[str]]] = {
    "mounts": _mounts,
    "cgroups": _cgroups,
    "kernel settings": _settings,
    "emulators": _emulators,
    "processes": _processes,
}
