"""The cluster's network: three namespaces on a bridge, a veth to this machine, static routes, no packet filter.

The bridge is in the control namespace, so the machine sees a single device, `<instance>-host`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine.command import run, succeeds

__all__ = ["down", "is_up", "up"]


def is_up(instance: Instance) -> bool:
    """Whether every namespace is there and the machine reaches the control namespace's address."""
    if not all(_is_namespace(name) for name in instance.namespaces):
        return False
    wanted = [instance.host_address, *(instance.pod_subnet(node) for node in NODES)]
    with contextlib.suppress(ClusterError):
        here = run("ip", "-o", "-4", "addr", "show", "dev", instance.host_link)
        routes = run("ip", "-n", instance.control_namespace, "route")
        return wanted[0] in here and all(subnet in routes for subnet in wanted[1:])
    return False


def up(instance: Instance) -> None:
    """Makes the network; whatever a killed run left of it is removed first. Raises ClusterError."""
    down(instance)
    control = instance.control_namespace
    for name in instance.namespaces:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    _batch(
        control,
        "link add lcbr type bridge",
        f"addr add {instance.control_address}/24 dev lcbr",
        "link set lcbr up",
    )
    _batch(
        "",
        f"link add {instance.host_link} type veth peer name host netns {control}",
        f"addr add {instance.host_address}/24 dev {instance.host_link}",
        f"link set {instance.host_link} up",
    )
    _batch(control, "link set host master lcbr up")
    for node in NODES:
        name = instance.node_namespace(node)
        _batch(name, f"link add eth0 type veth peer name {node.name} netns {control}")
        _batch(control, f"link set {node.name} master lcbr up")
        _batch(name, f"addr add {instance.node_address(node)}/24 dev eth0", "link set eth0 up")
        run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for node in NODES:
        route = f"route add {instance.pod_subnet(node)} via {instance.node_address(node)}"
        _batch(control, route)
        for other in NODES:
            if other != node:
                _batch(instance.node_namespace(other), route)
    # Pods' answers to this machine come from their own subnets: it must know the way back to them.
    _batch("", *(f"route add {instance.pod_subnet(n)} via {instance.node_address(n)}" for n in NODES))


def down(instance: Instance) -> None:
    """Removes the network; what is not there is no error.

    The machine's device goes first: deleting a namespace frees its end only later, and a restart would collide.
    """
    if Path(f"/sys/class/net/{instance.host_link}").exists():
        run("ip", "link", "del", instance.host_link)
    for name in instance.namespaces:
        if Path(f"/run/netns/{name}").exists() and not succeeds("ip", "netns", "del", name):
            # A killed `ip netns add` leaves a plain file that is not mounted.
            Path(f"/run/netns/{name}").unlink(missing_ok=True)


def _is_namespace(name: str) -> bool:
    return Path(f"/run/netns/{name}").exists() and succeeds("ip", "-n", name, "link", "show", "lo")


def _batch(namespace: str, *lines: str) -> None:
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "-batch", "-", stdin="\n".join(lines) + "\n")
