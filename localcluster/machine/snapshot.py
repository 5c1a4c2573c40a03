"""What a cluster could leave behind on a machine, as lines that can be compared: before `up` and after `down`.

Looked at is the whole machine, or what is one instance's own on a machine where other things come and go meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from localcluster.instance import NODES, Instance, cache_folder
from localcluster.machine import binfmt, process, sysctls
from localcluster.machine.cgroups import hierarchies
from localcluster.machine.lock import lock_file

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
_INNER_LINK = re.compile(rf"(?:lcbr|host|{'|'.join(node.name for node in NODES)})[@:]")
"""Devices of the instances' own namespaces: on the machine itself, whichever instance's, one was left by mistake."""
_ORIGIN = "\0"
"""After it a line goes on with what tells whose it is, and is not compared."""
_COUNTERS = re.compile(r"\[\d+:\d+\]|valid_lft \S+|preferred_lft \S+|^\d+: |\bexpires \S+|\bqlen \d+")


class Snapshot(NamedTuple):
    """Lines by kind of thing."""

    lines: dict[str, frozenset[str]]


def take(instance: Instance | None = None) -> Snapshot:
    """Looks at this machine: network, packet filter, mounts, cgroups, kernel settings, emulators, boxed processes.

    With an instance only what is that instance's own counts, by its names, addresses, folders and records.
    """
    found: dict[str, Iterable[str]] = {name: _printed(command) for name, command in _COMMANDS.items()}
    found |= {name: look() for name, look in _LOOKS.items()}
    own = Own(instance) if instance else None
    kept = {
        kind: frozenset(line.partition(_ORIGIN)[0] for line in lines if own is None or own(kind, line))
        for kind, lines in found.items()
    }
    if own:
        kept |= {"files": own.files(), "recorded processes": own.recorded()}
        if not own.alone():
            # The kernel's table of them is every instance's; the last one that goes empties it.
            del kept["emulators"]
    return Snapshot(kept)


def compare(before: Snapshot, after: Snapshot) -> list[str]:
    """What differs in the kinds that both hold, a line each (`+` new, `-` gone)."""
    differences = []
    for kind in sorted(before.lines.keys() & after.lines.keys()):
        one, other = before.lines[kind], after.lines[kind]
        signed = [("-", line) for line in sorted(one - other)] + [("+", line) for line in sorted(other - one)]
        differences += [f"{sign} {kind}: {line}" for sign, line in signed]
    return differences


class Own:
    """Tells the lines of a snapshot that are one instance's own from those of everything else on the machine."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        names = {instance.host_link, *instance.namespaces, *(instance.node_cgroup(node) for node in NODES)}
        named = "|".join(map(re.escape, sorted(names)))
        # Of a folder its last two names: a mount tells the path inside of its file system, which may begin anywhere.
        folders = "|".join(re.escape("/".join(("", *folder.parts[-2:]))) for folder in (instance.state, instance.run))
        self._marks = re.compile(
            rf"(?<![\w.-])(?:{named})(?![\w-])|(?<![\d.])10\.{instance.octet}\.\d|(?:{folders})(?![\w-])"
        )

    def __call__(self, kind: str, line: str) -> bool:
        if kind == "kernel settings":
            return line.partition(" = ")[0] in sysctls.CHANGED
        if kind == "emulators":
            return line.split()[1].startswith((binfmt.INSTALLED, str(cache_folder())))
        if kind == "links" and _INNER_LINK.match(line):
            return True
        return bool(self._marks.search(line))

    def files(self) -> frozenset[str]:
        """Folders and files of the instance that are there."""
        paths = (self._instance.state, self._instance.run, lock_file(self._instance))
        return frozenset(str(path) for path in paths if path.exists())

    def recorded(self) -> frozenset[str]:
        """Processes that the instance's records name and that still run, wherever they have gone."""
        return frozenset(f"{one.name} {one.pid}" for one in process.records(self._instance.run) if process.alive(one))

    def alone(self) -> bool:
        """Whether this machine has no other instance."""
        there = self._instance.run.parent
        return not there.is_dir() or all(one == self._instance.run or not one.is_dir() for one in there.iterdir())


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
    """Processes in a network, mount or process namespace other than this one's: where they are, what they run."""
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
                network = names.get(spaces[0], "a network")
                yield f"{(folder / 'comm').read_text().strip()} in {network} {cgroup}{_ORIGIN}{_origin(folder)}"
        except OSError:
            continue


def _origin(folder: Path) -> str:
    """A process's command line, its cgroups, and the folders of the disk that are mounted where it is."""
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    mounted = (line.split()[3] for line in (folder / "mountinfo").read_text().splitlines())
    return " ".join((command, (folder / "cgroup").read_text(), *mounted))


def _namespaces(pid: str) -> tuple[int, ...]:
    return tuple(os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in ("net", "mnt", "pid"))


_LOOKS: dict[str, Callable[[], Iterable[str]]] = {
    "mounts": _mounts,
    "cgroups": _cgroups,
    "kernel settings": _settings,
    "emulators": _emulators,
    "processes": _processes,
}
