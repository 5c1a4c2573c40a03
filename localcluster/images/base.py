"""The base image: Debian's static busybox for several architectures, with a shell and the usual folders."""

from __future__ import annotations

import functools
from pathlib import Path

from localcluster import tools
from localcluster.images import oci
from localcluster.images.layers import cached_layer
from localcluster.images.tree import Tree
from localcluster.machine.command import run
from localcluster.tools import debian
from localcluster.tools.report import to_stderr

__all__ = ["GROUP", "PASSWD", "add_busybox", "base_images"]

_PACKAGE = "busybox-static"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"
_FOLDERS = (
    "bin",
    "dev",
    "etc",
    "home",
    "proc",
    "run",
    "sbin",
    "sys",
    "usr/bin",
    "usr/local/bin",
    "usr/sbin",
    "var/log",
)


def base_images() -> list[oci.Image]:
    """One image a platform: the two nodes', and one that only emulation can run."""
    return [_base_image(architecture) for architecture in debian.ARCHITECTURES]


def add_busybox(tree: Tree, program: Path, *, passwd: str = PASSWD, group: str = GROUP) -> None:
    """Adds busybox with a link for each of its programs, and what a program expects of a root file system."""
    for folder in _FOLDERS:
        tree.folder(folder)
    tree.folder("root", 0o700)
    tree.folder("tmp", 0o1777)
    tree.folder("var/tmp", 0o1777)
    tree.file("etc/passwd", passwd.encode())
    tree.file("etc/group", group.encode())
    tree.file("etc/nsswitch.conf", b"hosts: files dns\n")
    tree.program("bin/busybox", program)
    for name in applets():
        tree.link(f"bin/{name}", "busybox")


@functools.cache
def applets() -> tuple[str, ...]:
    """The names that busybox acts by; Debian builds it alike for every architecture."""
    names = run(str(tools.ensure("busybox")), "--list").split()
    return tuple(name for name in names if name != "busybox")


def _base_image(architecture: str) -> oci.Image:
    tree = Tree()
    add_busybox(tree, _busybox(architecture))
    return oci.image(oci.Platform(architecture), [cached_layer(tree, compress=True)], oci.Settings(command=("sh",)))


def _busybox(architecture: str) -> Path:
    if architecture == "amd64":
        return tools.ensure("busybox")
    folder = debian.kept("busybox", (_PACKAGE,), ("bin/busybox",), to_stderr, architecture)
    return folder / "bin/busybox"
