"""Starts parts that do not run or do not serve, waits for them, stops them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance, NodeSpec
from localcluster.machine import cgroups, process
from localcluster.parts.control import Part, control_parts
from localcluster.parts.node import node_part, policy_objects, prepare, ready_nodes
from localcluster.parts.probe import api
from localcluster.parts.storage import storage_objects, storage_part

__all__ = ["healthy", "parts", "start_control", "start_nodes", "stop", "stop_all"]

_START_TIMEOUT = 60
"""Seconds until a control plane part serves."""
_READY_TIMEOUT = 90
"""Seconds until a node that was just started is Ready."""
_PATIENCE = 10
"""Seconds that a running part may fail to answer before it is ended and started again."""
_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"

Say = Callable[[str], None]


def parts(instance: Instance) -> tuple[Part, ...]:
    """Every process of the cluster, in the order in which they start."""
    return (*control_parts(instance), storage_part(instance), *(node_part(instance, node) for node in NODES))


def healthy(instance: Instance, part: Part) -> bool:
    """Whether a part runs as this version starts it, and serves."""
    record = process.load(instance.run, part.name)
    if record is None or not process.alive(record):
        return False
    return _as_wanted(record, part) and part.serves()


def start_control(instance: Instance, say: Say) -> None:
    """Starts what does not serve of the control plane, registry and volumes, and waits. Raises ClusterError."""
    every = {part.name: part for part in (*control_parts(instance), storage_part(instance))}
    for part in every.values():
        if _settles(instance, part):
            continue
        for name in part.after:
            _wait_for(instance, every[name])
        _start(instance, part, say)
    for part in every.values():
        _wait_for(instance, part)
    for node in NODES:
        if node.architecture != "amd64":
            # Before the node's kubelet says otherwise.
            _apply(instance, policy_objects(node))
    _apply(instance, storage_objects())


def start_nodes(instance: Instance, say: Say) -> list[NodeSpec]:
    """Starts nodes that do not serve and gives those that do not get Ready in time, or end. Raises ClusterError."""
    since = dict.fromkeys((node.name for node in NODES), 0.0)
    for node in NODES:
        part = node_part(instance, node)
        if _settles(instance, part) and _wait(lambda name=node.name: name in ready_nodes(instance), _PATIENCE):  # type: ignore[misc]
            continue
        stop(instance, [part.name])
        if left := cgroups.remove(instance.node_cgroup(node)):
            raise ClusterError(f"{left[0]} is still in use: some process of node {node.name} could not be ended")
        prepare(instance, node)
        cgroups.create(instance.node_cgroup(node))
        since[node.name] = time.time()
        _start(instance, part, say)
    _wait(lambda: not _unready(instance, since) or _ended(instance), _READY_TIMEOUT)
    return _unready(instance, since)


def stop(instance: Instance, names: Sequence[str]) -> None:
    """Ends parts. Raises ClusterError when one does not end."""
    if left := process.kill(record for name in names if (record := process.load(instance.run, name))):
        raise ClusterError(f"{left[0].name} (pid {left[0].pid}) does not end")
    for name in names:
        process.remove(instance.run, name)


def stop_all(instance: Instance) -> None:
    """Ends every process of the instance, recorded or not. Raises ClusterError when one does not end."""
    stop(instance, [record.name for record in process.records(instance.run)])
    if left := process.kill(process.strays(instance.namespaces, ())):
        raise ClusterError(f"process {left[0].pid} does not end")


def _ended(instance: Instance) -> bool:
    return not all(process.alive(process.load(instance.run, f"node-{node.name}")) for node in NODES)


def _unready(instance: Instance, since: dict[str, float]) -> list[NodeSpec]:
    """Nodes that are not Ready by a word later than their start, with their label, able to take pods."""
    ready = {name: found for name, found in ready_nodes(instance).items() if found.heard >= int(since.get(name, 0))}
    account = api(instance, "GET", _ACCOUNT)[0] == 200
    return [
        node
        for node in NODES
        if not account
        or node.name not in ready
        or ready[node.name].architecture != node.architecture
        or not healthy(instance, node_part(instance, node))
    ]


def _settles(instance: Instance, part: Part) -> bool:
    """Whether a part serves; one that runs but does not gets a moment, then is ended."""
    record = process.load(instance.run, part.name)
    if record is None or not process.alive(record):
        return False
    if (
        _as_wanted(record, part)
        and _wait(lambda: part.serves() or not process.alive(record), _PATIENCE)
        and process.alive(record)
    ):
        return True
    stop(instance, [part.name])
    return False


def _as_wanted(record: process.Record, part: Part) -> bool:
    """Whether a process was started as this version starts it."""
    return record.command in ("", process.fingerprint(part.make_command()))


def _start(instance: Instance, part: Part, say: Say) -> None:
    say(f"starting {part.name}")
    process.start(
        part.name, part.make_command(), instance.logs / f"{part.name}.log", instance.run, namespace=part.namespace
    )


def _wait_for(instance: Instance, part: Part) -> None:
    record = process.load(instance.run, part.name)
    log = instance.logs / f"{part.name}.log"
    _wait(lambda: part.serves() or not process.alive(record), _START_TIMEOUT)
    if not process.alive(record):
        raise ClusterError(f"{part.name} ended at once; its log is {log}")
    if not part.serves():
        raise ClusterError(f"{part.name} does not answer after {_START_TIMEOUT} s; its log is {log}")


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    """Whether the condition came true in time (s)."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _apply(instance: Instance, objects: Sequence[tuple[str, dict[str, object]]]) -> None:
    """Makes the objects, (API path, object) each, that are not there. Raises ClusterError."""
    kind = "application/apply-patch+yaml"
    for path, body in objects:
        if api(instance, "GET", path)[0] == 200:
            continue
        status, answer = api(instance, "PATCH", f"{path}?fieldManager=localcluster&force=true", body, kind)
        if status not in (200, 201):
            raise ClusterError(f"the apiserver refused {path}: {answer[:300].decode(errors='replace')}")
