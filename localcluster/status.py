"""`status`: what runs, what does not, and whether the nodes are ready."""

from __future__ import annotations

from typing import NamedTuple

from localcluster.instance import NODES, Instance
from localcluster.machine import network, process
from localcluster.machine.rootless import refusal
from localcluster.parts.node import ready_nodes
from localcluster.parts.run import parts

__all__ = ["Line", "status"]


class Line(NamedTuple):
    """One line of the status: a name, whether it is as it should be, and a word on it."""

    name: str
    well: bool
    detail: str


def status(instance: Instance) -> list[Line]:
    """A line for the network, each process, each node, and whether rootless builders can run (which is no defect)."""
    lines = [Line("network", up := network.is_up(instance), "up" if up else "missing")]
    for part in parts(instance):
        record = process.load(instance.run, part.name)
        if record is None or not process.alive(record):
            lines.append(Line(part.name, False, "dead" if record else "not started"))
        else:
            serves = part.serves()
            lines.append(Line(part.name, serves, f"pid {record.pid}" + ("" if serves else ", does not answer")))
    ready = ready_nodes(instance)
    for node in NODES:
        found = ready.get(node.name)
        well = found is not None and found.architecture == node.architecture
        lines.append(Line(f"{node.name} ready", well, f"linux/{found.architecture}" if found else "not ready"))
    refused = refusal()
    lines.append(Line("rootless", True, f"not allowed here: {refused}" if refused else "BuildKit may run rootless"))
    return lines
