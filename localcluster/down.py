"""`down`: ends and removes everything that `up` made, in an order that leaves nothing; what is gone is no error."""

from __future__ import annotations

import contextlib
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine import binfmt, cgroups, network, sysctls
from localcluster.machine.files import remove_tree
from localcluster.machine.lock import lock_file, locked
from localcluster.parts.run import stop_all
from localcluster.progress import Progress

__all__ = ["down"]


def down(instance: Instance) -> None:
    """Leaves no process, mount, namespace, device, cgroup, emulator or kernel setting of it. Raises ClusterError.

    The cache of tools and image layers stays: it belongs to no instance.
    """
    progress = Progress(3)
    with locked(instance, progress.say):
        with progress.step("ending every process"):
            stop_all(instance)
        with progress.step("removing network, cgroups and settings"):
            others = _others(instance)
            network.down(instance)
            for node in NODES:
                if busy := cgroups.remove(instance.node_cgroup(node)):
                    raise ClusterError(f"{busy[0]} is still in use; run down again")
            network.forget_mount(instance, last=not others)
            cgroups.restore(instance.run / "controllers.json")
            sysctls.restore(instance.run / "sysctls.json")
            if not others:
                binfmt.forget_ours(instance)
        with progress.step("removing the cluster's state"):
            for folder in (instance.run, instance.state):
                remove_tree(folder)
                _remove_if_empty(folder.parent)
        lock_file(instance).unlink(missing_ok=True)
        _remove_if_empty(lock_file(instance).parent)
    progress.finish("nothing left")


def _others(instance: Instance) -> list[Path]:
    """Folders of other instances: the table of emulators is the machine's, and they may need what is in it."""
    there = instance.run.parent
    return (
        [folder for folder in there.iterdir() if folder.is_dir() and folder != instance.run] if there.is_dir() else []
    )


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
