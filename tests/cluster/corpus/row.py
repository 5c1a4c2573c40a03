"""One command line of the corpus, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.cluster.equal_contexts import Plot

__all__ = ["Row"]


def _nothing(plot: Plot) -> None:
    return None


class Row(NamedTuple):
    """A build that both clients run, each on the same pod, one after the other.

    In `argv`, `env`, `stdin` and `dockerfile` these words are replaced: `CONTEXT` (the folder with the Dockerfile and
    what `plant` puts there; `CONTEXT/..` is the row's own), `OUT` (an empty folder of this client's own), `TAG` (a name
    in the registry, this client's own), `META` (a metadata file), `REGISTRY`, `ENGINE` (a Docker Engine's address),
    `BASE` (the base image), `SALT` (one text for the row, other at each run).

    Compared are: the exit status; standard output; on a failure the last line of standard error; what is in `OUT`
    (archives by their members); the image under `TAG`, in the registry, or in the engine if `env` names it; the
    metadata.
    """

    name: str
    argv: tuple[str, ...] = ("CONTEXT",)
    """The arguments after `build`."""
    dockerfile: str | None = "FROM scratch\nCOPY . /\n"
    """None writes no Dockerfile."""
    plant: Callable[[Plot], None] = _nothing
    files: Mapping[str, str] = {}
    """Files of the context: name -> text."""
    env: Mapping[str, str] = {}
    """More environment variables; an empty value is set, not removed."""
    stdin: bytes = b""
    fails: bool = False
    """The build is meant to fail; else both have to succeed."""
    masked: tuple[str, ...] = ()
    """Regular expressions: what they match in standard output and in the last line differs between two builds."""
    stdout: bool = True
    """Whether standard output is compared."""
    nodes: int = 1
    """1 or 2 nodes, for both clients."""
    unlike: str = ""
    """Why the last line of a failure is not docker buildx's; then only the statuses are compared."""
