"""The demo's stack in Pulumi's file backend: what an `up` that was killed left of itself is put right."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from localcluster.demo.steps import Shell

__all__ = ["locks", "select"]


def select(shell: Shell, name: str) -> None:
    """Selects the stack, made if need be, and gives up the lock of an update that was killed. Raises DemoError."""
    shell.run("pulumi", "stack", "select", "--create", name, timeout=60)
    held = locks(shell.environment.get("PULUMI_BACKEND_URL", ""), name)
    if held and not any(held.values()):
        print("  the update that holds the stack's lock was killed: its lock is given up")
        shell.run("pulumi", "cancel", "--stack", name, "--yes", timeout=60)


def locks(backend: str, stack: str, project: str = "builder") -> dict[Path, bool]:
    """Locks of a stack in a `file://` backend, and whether their holder may still be at work."""
    where = urlsplit(backend)
    if where.scheme != "file":
        return {}
    folder = Path(unquote(where.path), ".pulumi", "locks", "organization", project, stack)
    return {file: _may_work(file) for file in sorted(folder.glob("*.json"))}


def _may_work(lock: Path) -> bool:
    """Whether the process that wrote a lock is a living `pulumi`, or one of another machine, of which one knows not."""
    try:
        written = json.loads(lock.read_text())
        if written["hostname"] != socket.gethostname():
            return True
        return Path(f"/proc/{int(written['pid'])}/comm").read_text().strip() == "pulumi"
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True
