"""The images that are made here, since a machine without a route to a public registry has no others.

They bear the public names, so that every default of the reference works unaltered: the nodes' containerds and
BuildKit itself look for what has no registry in its name in the cluster's own registry first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from localcluster.images import oci
from localcluster.images.base import base_images
from localcluster.images.binfmt import binfmt_image
from localcluster.images.buildkit import buildkit_image
from localcluster.images.pause import pause_image
from localcluster.images.push import Pusher
from localcluster.images.rootless import rootless_image
from localcluster.instance import NODES

__all__ = [
    "BASE_IMAGE",
    "BINFMT_IMAGE",
    "BUILDKIT_IMAGE",
    "PAUSE_IMAGE",
    "ROOTLESS_IMAGE",
    "Published",
    "catalogue",
    "push_all",
]

BASE_IMAGE = "base:1"
PAUSE_IMAGE = "pause:1"
BUILDKIT_IMAGE = "moby/buildkit:buildx-stable-1"
ROOTLESS_IMAGE = "moby/buildkit:buildx-stable-1-rootless"
BINFMT_IMAGE = "tonistiigi/binfmt:latest"
_BUSYBOX_NAMES = (BASE_IMAGE, "busybox:latest", "library/busybox:latest")

_NATIVE = "amd64"


class Published(NamedTuple):
    """A name in the registry (`repository:tag`) and its images: one, or an index of several."""

    name: str
    images: tuple[oci.Image, ...]

    @property
    def manifest(self) -> oci.Blob:
        """What the tag points at."""
        return self.images[0].manifest if len(self.images) == 1 else oci.index(self.images)


def catalogue(registry: str) -> list[Published]:
    """Everything that the registry of a cluster holds from the start.

    A foreign node's containerd is an amd64 program and would take an index's amd64 half; what that node runs
    lies once more below a prefix of its architecture, as single images, and its containerd looks there first.
    """
    base = base_images()
    found = [Published(PAUSE_IMAGE, (pause_image(),))]
    found += [Published(name, tuple(base)) for name in _BUSYBOX_NAMES]
    for node in NODES:
        prefix = "" if node.architecture == _NATIVE else f"{node.architecture}/"
        found.append(Published(prefix + BUILDKIT_IMAGE, (buildkit_image(registry, node.architecture),)))
        found.append(Published(prefix + ROOTLESS_IMAGE, (rootless_image(registry, node.architecture),)))
        found.append(Published(prefix + BINFMT_IMAGE, (binfmt_image(node.architecture),)))
        if prefix:
            own = tuple(image for image in base if image.platform.architecture == node.architecture)
            found += [Published(prefix + name, own) for name in _BUSYBOX_NAMES]
    return found


def push_all(registry: str, report: Callable[[str], None] = print) -> None:
    """Makes what is not in the cache and pushes what is not in the registry. Raises ClusterError."""
    pusher = Pusher(registry)
    try:
        for published in catalogue(registry):
            repository, _, tag = published.name.rpartition(":")
            if pusher.has(repository, tag, published.manifest):
                continue
            report(f"pushing {published.name}")
            for image in published.images:
                pusher.image(repository, image)
            pusher.manifest(repository, published.manifest, tag)
    finally:
        pusher.close()
