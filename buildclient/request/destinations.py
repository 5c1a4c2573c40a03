"""Where an output is written on the client: a file, standard output or a folder; None means that nothing is written.

    Output("oci", dest=ToFile("image.tar"))
    Output("local", dest=ToFolder("out"))
    Output("tar", dest=ToStdout())
    Output("docker", dest=ToEngine())

`buildclient.results.exports` chooses the class that writes each.
"""

from __future__ import annotations

from typing import NamedTuple

from buildclient.contract.platform import Platform

__all__ = ["Destination", "ToContainerd", "ToEngine", "ToFile", "ToFolder", "ToStdout"]


class ToFile(NamedTuple):
    """Writes an archive to a file, which is replaced once the archive is complete; a device or a pipe is written to."""

    path: str


class ToFolder(NamedTuple):
    """Writes files into a folder, which is created if missing; other files in it stay."""

    path: str


class ToStdout(NamedTuple):
    """Writes an archive to standard output."""


class ToEngine(NamedTuple):
    """Loads the image into a Docker Engine, or what speaks its API."""

    context: str = ""
    """A docker context's name, or an address such as `unix:///run/podman/podman.sock`; empty for the engine that the
    docker command would use."""
    platform: Platform | None = None
    """Of an image for several platforms, the one to load. The client fills it in for an engine that takes no index."""


class ToContainerd(NamedTuple):
    """Loads the image into a namespace of containerd."""

    socket: str = "/run/containerd/containerd.sock"
    namespace: str = "default"


Destination = ToFile | ToFolder | ToStdout | ToEngine | ToContainerd | None
