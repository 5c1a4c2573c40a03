"""`up`: finds out what is not as it should be and makes just that; twice in a row, the second does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from localcluster import images, tools
from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine import cgroups, network, pki, process, sysctls
from localcluster.machine.files import remove_tree, write_text
from localcluster.machine.lock import locked
from localcluster.machine.preflight import problems
from localcluster.parts.control import Part, api, control_parts
from localcluster.parts.node import node_part, policy_objects, prepare, ready_nodes
from localcluster.progress import Progress

__all__ = ["healthy", "parts", "up"]

_READY_TIMEOUT = 120
_APISERVER_TIMEOUT = 60


def parts(instance: Instance) -> tuple[Part, ...]:
    """Every process of the cluster, in the order in which they start. Raises ClusterError without the tools."""
    return (*control_parts(instance), *(node_part(instance, node) for node in NODES))


def up(instance: Instance) -> None:
    """Brings the cluster to two ready nodes with its images in the registry. Raises ClusterError."""
    progress = Progress(6)
    if found := problems(instance):
        raise ClusterError(found[0])
    with locked(instance, progress.say):
        with progress.step("tools (from PATH, the cache, Debian packages or Go modules)"):
            for name in tools.FOR_CLUSTER:
                tools.ensure(name, progress.say)
        with progress.step("what an earlier run left behind"):
            _clean(instance, progress.say)
        with progress.step("network namespaces, keys"):
            sysctls.apply(instance.run / "sysctls.json")
            pki.ensure(instance)
            if not network.is_up(instance):
                _stop(instance, [part.name for part in parts(instance)])
                network.up(instance)
        with progress.step("control plane and registry"):
            _start_control(instance, progress.say)
        with progress.step("images"):
            images.push_all(instance.registry, progress.say)
        with progress.step("nodes"):
            _start_nodes(instance, progress.say)
        write_text(instance.state / "boot-id", _boot_id())
    progress.finish("two nodes ready: amd64, arm64")


def healthy(instance: Instance) -> bool:
    """Whether everything runs and both nodes are ready with their architecture's label."""
    labels = {node.name: node.architecture for node in NODES}
    return all(
        process.alive(process.load(instance.run, part.name)) and part.serves() for part in parts(instance)
    ) and labels == ready_nodes(instance)


def _clean(instance: Instance, say: Callable[[str], None]) -> None:
    """Throws away what cannot be taken up again, and ends what half an earlier cluster still runs."""
    written = instance.state / "boot-id"
    if instance.state.exists() and written.exists() and written.read_text() != _boot_id():
        # etcd ran without fsync: after a restart of the machine its data is not to be trusted.
        say("the machine was restarted: starting from an empty cluster")
        _stop(instance, [part.name for part in parts(instance)])
        remove_tree(instance.state)
    if instance.state.exists() and not written.exists():
        say("an earlier start did not come to its end")
    instance.run.mkdir(parents=True, exist_ok=True)
    instance.logs.mkdir(parents=True, exist_ok=True)
    write_text(written, _boot_id())


def _start_control(instance: Instance, say: Callable[[str], None]) -> None:
    for part in parts(instance):
        if part.name.startswith("node-"):
            continue
        if _runs(instance, part):
            continue
        if part.name in ("controller-manager", "scheduler"):
            _wait(lambda: api(instance, "GET", "/readyz")[0] == 200, _APISERVER_TIMEOUT, "the apiserver", instance)
        _start(instance, part, say)
    _wait(lambda: api(instance, "GET", "/readyz")[0] == 200, _APISERVER_TIMEOUT, "the apiserver", instance)
    for node in NODES:
        if node.architecture == "amd64":
            continue
        for path, body in policy_objects(node):
            status, answer = api(
                instance, "PATCH", f"{path}?fieldManager=localcluster&force=true", body, "application/apply-patch+yaml"
            )
            if status not in (200, 201):
                raise ClusterError(f"the apiserver refused {path}: {answer[:300].decode(errors='replace')}")


def _start_nodes(instance: Instance, say: Callable[[str], None]) -> None:
    every = {part.name: part for part in parts(instance)}
    started = []
    for node in NODES:
        part = every[f"node-{node.name}"]
        if _runs(instance, part):
            continue
        if left := cgroups.remove(instance.node_cgroup(node)):
            raise ClusterError(f"{left[0]} is still in use: some process of node {node.name} could not be ended")
        prepare(instance, node)
        cgroups.create(instance.node_cgroup(node))
        _start(instance, part, say)
        started.append(node.name)
    labels = {node.name: node.architecture for node in NODES}
    _wait(
        lambda: labels == ready_nodes(instance) and all(_kubelet_answers(instance, name) for name in started)
        and api(instance, "GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200,
        _READY_TIMEOUT, "two ready nodes", instance,
    )  # fmt: skip


def _kubelet_answers(instance: Instance, node: str) -> bool:
    """Whether the kubelet itself answers: a Ready condition may be a dead kubelet's last word."""
    return api(instance, "GET", f"/api/v1/nodes/{node}/proxy/healthz")[0] == 200


def _runs(instance: Instance, part: Part) -> bool:
    """Whether a part is alive and serves; one that is alive but does not serve gets a moment, then is ended."""
    record = process.load(instance.run, part.name)
    if not process.alive(record):
        return False
    for _ in range(20):
        if part.serves():
            return True
        if not process.alive(record):
            return False
        time.sleep(0.5)
    _stop(instance, [part.name])
    return False


def _start(instance: Instance, part: Part, say: Callable[[str], None]) -> None:
    say(f"starting {part.name}")
    process.start(part.name, part.command, instance.logs / f"{part.name}.log", instance.run, namespace=part.namespace)


def _stop(instance: Instance, names: list[str]) -> None:
    left = process.kill(record for name in names if (record := process.load(instance.run, name)))
    if left:
        raise ClusterError(f"{left[0].name} (pid {left[0].pid}) does not end")
    for name in names:
        process.remove(instance.run, name)


def _wait(condition: Callable[[], bool], timeout: float, what: str, instance: Instance) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout:.0f} s for {what} in vain; the logs are in {instance.logs}")
        time.sleep(0.1)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
