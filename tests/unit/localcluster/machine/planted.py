"""Plants one leftover of each kind, an instance's own and somebody else's, and prints what a snapshot says of each.

Run by test_snapshot.py in mount and network namespaces of its own, with a folder to work in. Only the cgroups and the
processes are seen on the machine for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from localcluster.instance import Instance
from localcluster.machine import binfmt, cgroups, process, snapshot

FOLDER = Path(sys.argv[1])
OWN, OTHER = (
    Instance(name, octet, FOLDER / "state" / name, FOLDER / "run" / name)
    for name, octet in ((f"p{os.getpid()}", 200), (f"q{os.getpid()}", 201))
)
SETTINGS = {OWN.name: "fs/inotify/max_user_instances", OTHER.name: "fs/pipe-max-size"}
Planted = contextlib.AbstractContextManager[None]


@contextlib.contextmanager
def shell(plant: str, remove: str) -> Iterator[None]:
    """Something that one command makes and another takes away."""
    subprocess.run(plant, shell=True, check=True)
    try:
        yield
    finally:
        subprocess.run(remove, shell=True, check=True)


@contextlib.contextmanager
def running(*command: str, after: str = "true") -> Iterator[subprocess.Popen[bytes]]:
    """A process in a mount namespace of its own, once what comes before it is done."""
    prefix = ["unshare", "--mount", "sh", "-c", f'{after} && echo && exec "$@"', "sh"]
    with subprocess.Popen([*prefix, *command, "61"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def in_network(instance: Instance) -> Iterator[None]:
    """A process in one of the instance's network namespaces."""
    name = instance.control_namespace
    with shell(f"ip netns add {name}", f"ip netns del {name}"), running("ip", "netns", "exec", name, "network"):
        yield


@contextlib.contextmanager
def in_cgroup(instance: Instance) -> Iterator[None]:
    """A process that nothing but its cgroup tells."""
    name = instance.name + "-amd64"
    cgroups.create(name)
    try:
        with running("cgroup", after=f"echo $$ >{cgroups.hierarchies()[-1] / name}/cgroup.procs"):
            yield
    finally:
        cgroups.remove(name)


@contextlib.contextmanager
def recorded(instance: Instance) -> Iterator[None]:
    """A process that nothing but the instance's record tells."""
    record = process.start("part", ["sleep", "61"], FOLDER / "log", instance.run)
    try:
        yield
    finally:
        process.kill([record])
        process.remove(instance.run, "part")


@contextlib.contextmanager
def emulator(instance: Instance) -> Iterator[None]:
    """An emulator as clusters register it, or one of somebody else."""
    folder = binfmt.INSTALLED if instance is OWN else "/usr/bin"
    real, binfmt.entries = binfmt.entries, lambda: {**real(), "qemu-arm": f"{folder}/qemu-arm"}
    try:
        yield
    finally:
        binfmt.entries = real


def plants(instance: Instance) -> Iterator[tuple[str, Planted]]:
    """What is planted: kind and part of the line that must report it, and how."""
    name, net = instance.name, f"10.{instance.octet}"
    state, bound, setting = instance.state / "x", instance.state / "y", f"/proc/sys/{SETTINGS[name]}"
    cgroup = cgroups.hierarchies()[-1] / f"{name}-arm64"
    link, rule = "lcbr" if instance is OWN else "br7", f"from {net}.0.0/16 table 7"
    yield (
        f"links: {name}-host",
        shell(f"ip link add {name}-host type veth peer name {name}x", f"ip link del {name}-host"),
    )
    yield f"links: {link}", shell(f"ip link add {link} type bridge", f"ip link del {link}")
    yield "addresses: lo", shell(f"ip addr add {net}.0.254/32 dev lo", f"ip addr del {net}.0.254/32 dev lo")
    yield f"routes: {net}.1.0/24", shell(f"ip route add {net}.1.0/24 dev lo", f"ip route del {net}.1.0/24")
    yield f"policy routes: from {net}", shell(f"ip rule add {rule}", f"ip rule del {rule}")
    filtered = f"echo -A FORWARD -s {net}.1.0/24 -j DROP >{FOLDER}/rules"
    yield "packet filter: -A FORWARD", shell(filtered, f"rm {FOLDER}/rules")
    yield f"network namespaces: {name}-amd64", shell(f"ip netns add {name}-amd64", f"ip netns del {name}-amd64")
    yield f"mounts: /run/netns/{name}-amd64", contextlib.nullcontext()
    yield f"mounts: {state}", shell(f"mkdir -p {state}; mount -t tmpfs x {state}", f"umount {state}; rm -r {state}")
    yield f"files: {instance.state}", contextlib.nullcontext()
    yield f"files: {instance.run}", shell(f"mkdir -p {instance.run}", f"rm -r {instance.run}")
    yield f"cgroups: {cgroup}", shell(f"mkdir {cgroup}", f"rmdir {cgroup}")
    changed = f"echo 7 >{FOLDER}/setting; mount --bind {FOLDER}/setting {setting}"
    yield f"kernel settings: {SETTINGS[name]} = 7", shell(changed, f"umount {setting}")
    yield "emulators: qemu-arm ", emulator(instance)
    yield "processes: network in ", in_network(instance)
    yield "processes: cgroup in ", in_cgroup(instance)
    yield "processes: command in ", running("command", "-c", "read x", str(state))
    yield "processes: mounts in ", running("mounts", after=f"mkdir -p {bound} && mount --bind {bound} /mnt")
    yield "recorded processes: part ", recorded(instance)


def main() -> None:
    """Prints for each instance the lines that were to be reported, and those that were."""
    tool = FOLDER / "bin/iptables-save"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat {FOLDER}/rules\n")
    tool.chmod(0o755)
    for name, program in (("network", "sleep"), ("cgroup", "sleep"), ("command", "sh"), ("mounts", "sleep")):
        shutil.copy2(shutil.which(program) or "", tool.parent / name)
    answers = []
    for instance in (OWN, OTHER):
        before = snapshot.take(OWN)
        with contextlib.ExitStack() as stack:
            wanted = []
            for line, planted in plants(instance):
                wanted.append(line)
                stack.enter_context(planted)
            answers.append((wanted, snapshot.compare(before, snapshot.take(OWN))))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
