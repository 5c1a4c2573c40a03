"""Kernel settings that the cluster changes: remembered before, put back after."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from localcluster.machine.files import write_text

__all__ = ["CHANGED", "apply", "restore"]

_RAISED = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}
"""At least these, or kubelets and containerds run out of watches."""
_BY_KUBELET = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory")
CHANGED = (*_RAISED, *_BY_KUBELET)
"""Every setting that a running cluster may have changed, by its path below /proc/sys."""
_ROOT = Path("/proc/sys")


def apply(memory: Path) -> None:
    """Raises what is too low; writes to `memory` what was there before, unless an earlier run already did."""
    if not memory.exists():
        before = {name: (_ROOT / name).read_text().strip() for name in CHANGED}
        write_text(memory, json.dumps(before))
    for name, least in _RAISED.items():
        if int((_ROOT / name).read_text()) < least:
            (_ROOT / name).write_text(str(least))


def restore(memory: Path) -> None:
    """Puts back what `memory` holds and forgets it."""
    try:
        before = json.loads(memory.read_text())
    except (OSError, ValueError):
        return
    for name, value in before.items():
        with contextlib.suppress(OSError):
            (_ROOT / name).write_text(value)
    memory.unlink(missing_ok=True)
