"""Where an output is written on the client: a file, standard output or a folder; None means that nothing is written.

    Output("oci", dest=ToFile("image.tar"))
    Output("local", dest=ToFolder("out"))
    Output("tar", dest=ToStdout())

`buildclient.results.exports` chooses the class that writes each.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Destination", "ToFile", "ToFolder", "ToStdout"]


class ToFile(NamedTuple):
    """Writes an archive to a file, which is replaced once the archive is complete; a device or a pipe is written to."""

    path: str


class ToFolder(NamedTuple):
    """Writes files into a folder, which is created if missing; other files in it stay."""

    path: str


class ToStdout(NamedTuple):
    """Writes an archive to standard output."""


Destination = ToFile | ToFolder | ToStdout | None
