"""`down`: ends and removes everything that `up` made, in an order that leaves nothing; what is gone is no error."""

from __future__ import annotations

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine import cgroups, network, process, sysctls
from localcluster.machine.files import remove_tree
from localcluster.machine.lock import locked
from localcluster.progress import Progress

__all__ = ["down"]


def down(instance: Instance) -> None:
    """Leaves no process, mount, namespace, device, cgroup or kernel setting of the instance. Raises ClusterError.

    The cache of tools and image layers stays: it belongs to no instance.
    """
    progress = Progress(3)
    with locked(instance, progress.say):
        with progress.step("ending every process"):
            names = sorted(path.stem for path in instance.run.glob("*.json") if path.stem != "sysctls")
            left = process.kill(record for name in names if (record := process.load(instance.run, name)))
            if left:
                raise ClusterError(f"{left[0].name} (pid {left[0].pid}) does not end")
        with progress.step("removing network, cgroups and settings"):
            network.down(instance)
            for node in NODES:
                if busy := cgroups.remove(instance.node_cgroup(node)):
                    raise ClusterError(f"{busy[0]} is still in use; run down again")
            sysctls.restore(instance.run / "sysctls.json")
        with progress.step("removing the cluster's state"):
            remove_tree(instance.run)
            remove_tree(instance.state)
    (instance.run.parent / f"{instance.name}.lock").unlink(missing_ok=True)
    progress.finish("nothing left")
