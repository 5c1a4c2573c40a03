"""The demo's stack in Pulumi's file backend: what an `up` that was killed left of itself is put right."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from localcluster.demo.steps import ROOT, Shell
from localcluster.machine import process

__all__ = ["Made", "locks", "mend", "pending", "recover", "select"]


_FILE = "file://"


class Made(NamedTuple):
    """An object that a killed update was making, and may have made."""

    kind: str
    namespace: str
    """Empty where the kind has none."""
    name: str


def select(shell: Shell, name: str) -> None:
    """Selects the stack, made if need be, and gives up the lock of an update that was killed. Raises DemoError."""
    backend = shell.environment.get("PULUMI_BACKEND_URL", "")
    held = locks(backend, name)
    if not any(held.values()):
        mend(backend, name)
    shell.run("pulumi", "stack", "select", "--create", name, timeout=60)
    if held and not any(held.values()):
        print("  the update that holds the stack's lock was killed: its lock is given up")
        shell.run("pulumi", "cancel", "--stack", name, "--yes", timeout=60)


def recover(shell: Shell, name: str) -> None:
    """Removes what a killed update was making, since Pulumi does not know of it and could not make it again.

    Only for a cluster that is the demo's own: elsewhere the object may be somebody else's. Raises DemoError.
    """
    half_made = pending(json.loads(shell.read("pulumi", "stack", "export", "--stack", name)))
    if not half_made:
        return
    print("  an update was killed: what it was making is removed, to be made again")
    for kind, namespace, made in half_made:
        where = ["--namespace", namespace] if namespace else []
        shell.run("kubectl", "delete", kind, made, *where, "--ignore-not-found", timeout=120)
    command = ("pulumi", "refresh", "--stack", name, "--yes", "--skip-preview", "--non-interactive")
    shell.run(*command, "--clear-pending-creates", "--suppress-outputs", timeout=180)


def pending(exported: Mapping[str, Any]) -> list[Made]:
    """The Kubernetes objects whose creation had no end, in the text of `pulumi stack export`."""
    found = []
    for operation in exported["deployment"].get("pending_operations") or ():
        inputs = operation["resource"].get("inputs", {})
        metadata = inputs.get("metadata", {})
        if operation["type"] == "creating" and "kind" in inputs and "name" in metadata:
            found.append(Made(inputs["kind"], metadata.get("namespace", ""), metadata["name"]))
    return found


def locks(backend: str, stack: str, project: str = "builder") -> dict[Path, bool]:
    """Locks of a stack in a `file://` backend, and whether their holder may still be at work."""
    folder = _folder(backend) / "locks" / "organization" / project / stack
    return {file: _may_work(file) for file in sorted(folder.glob("*.json"))}


def mend(backend: str, stack: str, project: str = "builder") -> None:
    """Removes half-written companions of a stack's files: they say what kind of file it is, and may be missing.

    Pulumi renames a state file into place, but writes its `.attrs` straight, and cannot read a half one.
    """
    folder = _folder(backend)
    patterns = [f"stacks/{project}/{stack}.json*.attrs", f"locks/organization/{project}/{stack}/*.attrs"]
    patterns += [f"{kind}/{project}/{stack}/*.attrs" for kind in ("history", "backups")]
    # The backend's own, without which none of its stacks can be read.
    for file in [file for pattern in [*patterns, "meta.yaml.attrs"] for file in folder.glob(pattern)]:
        try:
            json.loads(file.read_text())
        except ValueError:
            file.unlink(missing_ok=True)


def _folder(backend: str) -> Path:
    """Where a `file://` backend keeps its state; for another backend, a folder that is not there.

    As Pulumi reads it: `~` is the home, and what is relative is so to where the demo runs it.
    """
    if not backend.startswith(_FILE):
        return Path("/nonexistent")
    path = backend.removeprefix(_FILE).partition("?")[0]
    if path.startswith("~"):
        path = str(Path.home() / path[2:])
    return Path(os.path.normpath(ROOT / unquote(path)), ".pulumi")


def _may_work(lock: Path) -> bool:
    """Whether the process that wrote a lock is a living `pulumi`, or one of another machine, of which one knows not."""
    try:
        written = json.loads(lock.read_text())
        pid, elsewhere = int(written["pid"]), str(written["hostname"]) != socket.gethostname()
    except (OSError, ValueError, KeyError, TypeError):
        return True
    if elsewhere or not process.alive(process.record_of(pid)):
        return elsewhere
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "pulumi\n"
    except OSError:
        return False
