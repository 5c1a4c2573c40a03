"""`down`: ends and removes everything that `up` made, in an order that leaves nothing; what is gone is no error."""

from __future__ import annotations

import contextlib
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine import cgroups, network, sysctls
from localcluster.machine.files import remove_tree
from localcluster.machine.lock import lock_file, locked
from localcluster.parts.run import stop_all
from localcluster.progress import Progress

__all__ = ["down"]


def down(instance: Instance) -> None:
    """Leaves no process, mount, namespace, device, cgroup or kernel setting of the instance. Raises ClusterError.

    The cache of tools and image layers stays: it belongs to no instance.
    """
    progress = Progress(3)
    with locked(instance, progress.say):
        with progress.step("ending every process"):
            stop_all(instance)
        with progress.step("removing network, cgroups and settings"):
            network.down(instance)
            for node in NODES:
                if busy := cgroups.remove(instance.node_cgroup(node)):
                    raise ClusterError(f"{busy[0]} is still in use; run down again")
            network.forget_mount(instance)
            cgroups.restore(instance.run / "controllers.json")
            sysctls.restore(instance.run / "sysctls.json")
        with progress.step("removing the cluster's state"):
            for folder in (instance.run, instance.state):
                remove_tree(folder)
                _remove_if_empty(folder.parent)
        lock_file(instance).unlink(missing_ok=True)
        _remove_if_empty(lock_file(instance).parent)
    progress.finish("nothing left")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
