"""The BuildKit image: buildkitd, buildctl, runc, busybox, certificates, and the cluster's registry configured."""

from __future__ import annotations

from pathlib import Path

from localcluster import tools
from localcluster.images import oci
from localcluster.images.base import add_busybox
from localcluster.images.layers import cached_layer
from localcluster.images.libraries import add_program
from localcluster.images.tree import Tree

__all__ = ["add_certificates", "buildkit_image", "daemon_config", "daemon_layer"]

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_STATE = "/var/lib/buildkit"


def buildkit_image(registry: str, architecture: str) -> oci.Image:
    """BuildKit for nodes of an architecture; the programs are amd64 ones, the daemon says what it builds for.

    `/var/lib/buildkit` is a volume: on the container's own overlay BuildKit would fall back to copying whole trees.
    """
    configured = Tree()
    configured.file("etc/buildkit/buildkitd.toml", daemon_config(registry, architecture).encode())
    layers = [
        cached_layer(_system(), compress=False),
        daemon_layer(),
        oci.layer(configured.archive(), compress=False),
    ]
    settings = oci.Settings(entrypoint=("buildkitd",), volumes=(_STATE,))
    return oci.image(oci.Platform(architecture), layers, settings)


def daemon_config(registry: str, architecture: str) -> str:
    """buildkitd.toml: the registry speaks plain HTTP and also holds what Dockerfiles name without a registry."""
    lines = []
    if architecture != "amd64":
        # Emulated nodes run the amd64 daemon. Its own architecture is appended by BuildKit when it lists platforms.
        lines = ["[worker.oci]", f'  platforms = ["linux/{architecture}"]']
    return "\n".join(
        [
            *lines,
            f'[registry."{registry}"]',
            "  http = true",
            '[registry."docker.io"]',
            f'  mirrors = ["{registry}"]',
            "",
        ]
    )


def add_certificates(tree: Tree) -> None:
    """Adds the authorities that this machine trusts, for registries that speak TLS."""
    if _CERTIFICATES.exists():
        tree.file("etc/ssl/certs/ca-certificates.crt", _CERTIFICATES)


def _system() -> Tree:
    tree = Tree()
    add_busybox(tree, tools.ensure("busybox"))
    add_program(tree, "usr/bin/buildkit-runc", tools.ensure("runc"))
    add_certificates(tree)
    tree.folder("var/lib/buildkit", 0o700)
    return tree


def daemon_layer() -> oci.Layer:
    """buildkitd and buildctl; one layer for every flavour, uncompressed since it is unpacked on every node."""
    tree = Tree()
    for name in ("buildkitd", "buildctl"):
        tree.program(f"usr/bin/{name}", tools.ensure(name))
    return cached_layer(tree, compress=False)
