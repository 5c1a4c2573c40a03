"""Builds whose connections are kept."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.cluster.client_builder import HandMadeBuilder
from tests.load import busy

__all__ = ["How", "Kept", "until", "user_of"]

_BUILD = ("-D", "build", "--provenance=false", "--progress=plain", "--platform", "linux/amd64")
_KEPT = "through the keeper"
_WATCHED = "by the keeper, which watches"
_CHOSEN = re.compile(r"nodes: builder-amd64: pod (\S+) of (\d+) ready: ")


class How(NamedTuple):
    """How a build found its pod."""

    kept: bool
    """Whether through a keeper."""
    watched: bool
    """Whether the list of pods was the keeper's."""
    pod: str
    ready: int
    """How many it chose from."""


class Kept:
    """A builder whose commands keep their connections."""

    def __init__(self, builder: HandMadeBuilder, folder: Path) -> None:
        self.builder = builder
        self._context = builder.context("app", "FROM BASE\nCOPY one /\n", one="1\n")
        self._sockets = folder / ".cache/buildclient/keep"
        self.config = folder / "kubeconfig"
        shutil.copy(builder.environment["KUBECONFIG"], self.config)

    def build(self, *arguments: str, keep: str = "1m") -> bool:
        """Builds; returns whether it was through a keeper."""
        return self.built(*arguments, keep=keep).kept

    def built(self, *arguments: str, keep: str = "1m", **environment: str) -> How:
        """Builds; returns how it found its pod."""
        access = {"BUILDCLIENT_KEEP": keep, "KUBECONFIG": str(self.config), "CI": "", **environment}
        ran = self.builder.run(*_BUILD, *arguments, self._context, **access)
        assert ran.status == 0, ran.err
        pod = _CHOSEN.search(ran.err)
        assert pod, ran.err
        return How(_KEPT in ran.err, _WATCHED in ran.err, pod[1], int(pod[2]))

    def watched(self, *arguments: str, **environment: str) -> How:
        """As `built`, once a watch has the list of pods; until then builds again."""
        found: list[How] = []

        def so() -> bool:
            found.append(self.built(*arguments, **environment))
            return found[-1].watched

        until(so)
        return found[-1]

    @property
    def keepers(self) -> int:
        """How many listen."""
        return sum(path.is_socket() for path in self._sockets.iterdir()) if self._sockets.exists() else 0

    def settled(self, count: int) -> None:
        """Waits until so many keepers are there."""
        until(lambda: self.keepers == count)


@contextlib.contextmanager
def user_of(builder: HandMadeBuilder) -> Iterator[Kept]:
    """A user of the builder with no keeper yet; the last one is ended by its kubeconfig's end."""
    one = Kept(builder, builder.folder)
    yield one
    one.config.write_text("{}")
    one.settled(0)


def until(true: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + busy(20)
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
