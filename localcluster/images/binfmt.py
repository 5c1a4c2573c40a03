"""The installer of emulators: a container run once, privileged, that registers QEMU with the node's kernel."""

from __future__ import annotations

from pathlib import Path

from localcluster import tools
from localcluster.images import oci
from localcluster.images.base import add_busybox
from localcluster.images.layers import cached_layer
from localcluster.images.tree import Tree
from localcluster.machine.binfmt import INSTALLED
from localcluster.tools.emulators import EMULATED, emulator_file, registration_in

__all__ = ["binfmt_image"]

_SCRIPT = Path(__file__).with_name("binfmt.sh")
_INTERPRETERS = INSTALLED.lstrip("/")


def binfmt_image(architecture: str) -> oci.Image:
    """An image whose entry point takes `--install all|a,b`, `--uninstall a,b`, or nothing, and prints JSON."""
    tree = Tree()
    add_busybox(tree, tools.ensure("busybox"))
    for name in EMULATED:
        interpreter = f"{_INTERPRETERS}/{name}-binfmt-P"
        tree.program(interpreter, emulator_file(name))
        tree.file(f"etc/binfmt/qemu-{name}", registration_in(name, f"/{interpreter}").encode())
    tree.program("usr/bin/binfmt", _SCRIPT.read_bytes())
    settings = oci.Settings(entrypoint=("/usr/bin/binfmt",))
    return oci.image(oci.Platform(architecture), [cached_layer(tree, compress=False)], settings)
