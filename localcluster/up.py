"""`up`: finds out what is not as it should be and makes just that; twice in a row, the second does nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localcluster import images, tools
from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine import binfmt, cgroups, network, pki, process, sysctls
from localcluster.machine.files import remove_tree, write_text
from localcluster.machine.lock import locked
from localcluster.machine.packages import ensure_commands
from localcluster.machine.preflight import problems
from localcluster.parts.run import start_control, start_nodes, stop, stop_all
from localcluster.progress import Progress

__all__ = ["up"]

Say = Callable[[str], None]


def up(instance: Instance) -> None:
    """Brings the cluster to two ready nodes with its images in the registry. Raises ClusterError."""
    progress = Progress(6)
    if found := problems(instance):
        raise ClusterError(found[0])
    with locked(instance, progress.say):
        with progress.step("tools: from PATH, from the cache, else made now"):
            ensure_commands(progress.say)
            tools.prepare(progress.say)
        with progress.step("what an earlier run left behind"):
            _clean(instance, progress.say)
        with progress.step("network namespaces, keys"):
            sysctls.apply(instance.run / "sysctls.json")
            cgroups.enable(instance.run / "controllers.json")
            binfmt.load()
            binfmt.remember(instance)
            pki.ensure(instance)
            if not network.is_up(instance):
                stop_all(instance)
                network.up(instance)
        with progress.step("control plane and registry"):
            _control(instance, progress.say)
        with progress.step("images"):
            _images(instance, progress.say)
        with progress.step("nodes"):
            _nodes(instance, progress.say)
    progress.finish(f"ready: nodes {' and '.join(node.name for node in NODES)}, registry {instance.registry}")


def _clean(instance: Instance, say: Say) -> None:
    """Ends what runs without a record, and throws away what the machine's restart made untrustworthy."""
    instance.run.mkdir(parents=True, exist_ok=True)
    strays = process.strays(instance.namespaces, process.records(instance.run))
    if strays:
        say(f"ending {len(strays)} processes that an interrupted run started")
        if left := process.kill(strays):
            raise ClusterError(f"process {left[0].pid} does not end")
    mark = instance.state / "boot-id"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if mark.exists() and mark.read_text() != boot:
        # etcd ran without fsync: after a restart of the machine its data is not to be trusted.
        say("the machine was restarted since: beginning with an empty cluster")
        stop_all(instance)
        remove_tree(instance.state)
    instance.logs.mkdir(parents=True, exist_ok=True)
    write_text(mark, boot)


def _control(instance: Instance, say: Say) -> None:
    """Starts the control plane; on data that it cannot start on, once more without."""
    data = instance.state / "etcd"
    reused = data.exists()
    try:
        start_control(instance, say)
    except ClusterError as error:
        if not reused:
            raise
        say(f"{error}; beginning with an empty cluster")
        stop_all(instance)
        # Pulumi's record of what was in the cluster is as old as the cluster.
        for folder in (data, instance.state / "nodes", instance.state / "pulumi"):
            remove_tree(folder)
        start_control(instance, say)


def _images(instance: Instance, say: Say) -> None:
    """Fills the registry; if it cannot be written, once more with an empty one."""
    try:
        images.push_all(instance.registry, say)
    except ClusterError as error:
        say(f"{error}; beginning with an empty registry")
        stop(instance, ["registry"])
        remove_tree(instance.state / "registry")
        start_control(instance, say)
        images.push_all(instance.registry, say)


def _nodes(instance: Instance, say: Say) -> None:
    """Starts the nodes; those that do not get ready once more, and then once more with an empty disk."""
    if not start_nodes(instance, say):
        return
    say("once more")
    for node in start_nodes(instance, say):
        say(f"node {node.name} does not get ready; beginning with an empty one")
        stop(instance, [f"node-{node.name}"])
        remove_tree(instance.node_folder(node))
    if still := start_nodes(instance, say):
        raise ClusterError(f"node {still[0].name} does not get ready; the logs are in {instance.logs}")
