"""Where an output's result goes on the client: to a file, to standard output, into a folder; None is nowhere here.

Each has its class in `buildclient.results`, chosen by `buildclient.results.exports`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Destination", "ToFile", "ToFolder", "ToStdout"]


class ToFile(NamedTuple):
    """An archive into a file, which is replaced; into a device or a pipe it is written as it comes."""

    path: str


class ToFolder(NamedTuple):
    """A tree of files into a folder, which is made if need be; what else is in it stays."""

    path: str


class ToStdout(NamedTuple):
    """An archive to standard output."""


Destination = ToFile | ToFolder | ToStdout | None
