"""Long-running processes that outlive the command that started them.

A record holds pid and start time; a process counts as the recorded one only if both agree and it is no zombie,
so that a pid file left by a killed run, or a pid that the kernel gave to somebody else, is never trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from localcluster.machine.files import write_text

__all__ = ["Record", "alive", "fingerprint", "kill", "load", "record_of", "records", "remove", "start", "strays"]

_SUFFIX = ".json"


class Record(NamedTuple):
    """Which process was started under a name."""

    name: str
    pid: int
    started: int
    """Clock ticks after boot (field 22 of /proc/PID/stat)."""
    command: str = ""
    """Fingerprint of what it was started with."""


def fingerprint(command: Sequence[str]) -> str:
    """Tells one command line from another."""
    return hashlib.sha256("\0".join(command).encode()).hexdigest()[:16]


def start(name: str, command: Sequence[str], log: Path, folder: Path, *, namespace: str = "") -> Record:
    """Starts a command in a session of its own, in a network namespace if one is named, logging to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    prefix = ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    record = Record(name, child.pid, _stat(child.pid)[1], fingerprint(command))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}{_SUFFIX}", json.dumps(record._asdict()))
    return record


def load(folder: Path, name: str) -> Record | None:
    """The record of a name, or None if there is none that can be read."""
    try:
        value = json.loads((folder / f"{name}{_SUFFIX}").read_text())
        return Record(str(value["name"]), int(value["pid"]), int(value["started"]), str(value.get("command", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def records(folder: Path) -> list[Record]:
    """Every record that can be read."""
    names = sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    return [record for name in names if (record := load(folder, name))]


def remove(folder: Path, name: str) -> None:
    """Forgets a record."""
    (folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)


def record_of(pid: int) -> Record | None:
    """A record of a process that was started by somebody else; None when there is none."""
    state, started = _stat(pid)
    return Record(f"process {pid}", pid, started) if state else None


def alive(record: Record | None) -> bool:
    """Whether the recorded process still runs."""
    if record is None:
        return False
    state, started = _stat(record.pid)
    return state not in ("", "Z", "X") and started == record.started


def kill(records: Iterable[Record], timeout: float = 20) -> list[Record]:
    """Kills processes with SIGKILL and waits until they are gone; gives those that are not after `timeout` s."""
    waiting = [record for record in records if alive(record)]
    for record in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout
    while waiting and time.monotonic() < deadline:
        waiting = [record for record in waiting if alive(record)]
        time.sleep(0.02)
    return waiting


def strays(namespaces: Iterable[str], known: Iterable[Record]) -> list[Record]:
    """Processes in network namespaces of ours that are neither recorded nor below a recorded one.

    An `up` that is killed between starting a process and recording it leaves such a one.
    """
    ours = set()
    for name in namespaces:
        with contextlib.suppress(OSError):
            ours.add(os.stat(f"/run/netns/{name}").st_ino)
    roots = {record.pid for record in known if alive(record)}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with contextlib.suppress(OSError):
            if os.stat(folder / "ns" / "net").st_ino in ours and not _below(pid, roots) and (one := record_of(pid)):
                found.append(one)
    return found


def _below(pid: int, roots: set[int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True  # it has just ended
        pid = int(text.rpartition(")")[2].split()[1])
    return False


def _stat(pid: int) -> tuple[str, int]:
    """State and start time of a process; empty state when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
