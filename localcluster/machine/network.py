"""The cluster's network: three namespaces on a bridge, a veth to this machine, static routes, no packet filter.

The bridge is in the control namespace, so the machine sees a single device, `<instance>-host`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.instance import NODES, Instance
from localcluster.machine.command import run, succeeds
from localcluster.machine.files import write_text

__all__ = ["down", "forget_mount", "is_up", "up"]

_NAMESPACES = Path("/run/netns")


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
    _remember_mount(instance)
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
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        run("nsenter", f"--net={_NAMESPACES / name}", "--", "sh", "-c", forward)
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
        if (_NAMESPACES / name).exists() and not succeeds("ip", "netns", "del", name):
            # A killed `ip netns add` leaves a plain file that is not mounted.
            (_NAMESPACES / name).unlink(missing_ok=True)


def forget_mount(instance: Instance, *, last: bool) -> None:
    """Undoes the mount of /run/netns on itself, which the first `ip netns add` of a machine makes, if it was ours.

    Not while somebody's namespace is in it. The mark is every instance's: the `last` one that goes tidies up.
    """
    mark = _mark(instance)
    if mark.exists() and _NAMESPACES.is_dir() and not any(_NAMESPACES.iterdir()):
        if _is_mount(_NAMESPACES):
            run("umount", str(_NAMESPACES))
        if mark.read_text() == "folder":
            _NAMESPACES.rmdir()
        mark.unlink()
    elif last:
        mark.unlink(missing_ok=True)


def _remember_mount(instance: Instance) -> None:
    if not _is_mount(_NAMESPACES):
        write_text(_mark(instance), "mount" if _NAMESPACES.exists() else "folder")


def _is_mount(folder: Path) -> bool:
    """Also of a folder that is mounted on itself, which os.path.ismount does not see: the device is the same."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(folder) for line in lines)


def _mark(instance: Instance) -> Path:
    return instance.run.parent / "netns-mount"


def _is_namespace(name: str) -> bool:
    return (_NAMESPACES / name).exists() and succeeds("ip", "-n", name, "link", "show", "lo")


def _batch(namespace: str, *lines: str) -> None:
    where = ["-n", namespace] if namespace else []
    # A line at a time: of a batch `ip` says last which line failed, and not why.
    for line in lines:
        run("ip", *where, *line.split())
