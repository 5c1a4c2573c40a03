"""A receiver as one solve has it: once the solve is begun anew, what its daemon still sends is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildclient.base.errors import Cancelled

__all__ = ["Turn"]


class _Taking(Protocol):
    """What takes one solve's archive after another's."""

    turn: int

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Writes the next bytes. Raises OSError."""

    def finish(self) -> None:
        """Ends the archive. Raises OSError."""


class Turn:
    """Passes one solve's archive on; fulfils ArchiveReceiver."""

    def __init__(self, into: _Taking) -> None:
        self._into = into
        self._turn = into.turn

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Writes the next bytes. Raises OSError, and Cancelled once the solve is begun anew."""
        self._check()
        self._into.write(pieces)

    def finish(self) -> None:
        """Ends the archive. Raises as `write`."""
        self._check()
        self._into.finish()

    def _check(self) -> None:
        if self._into.turn != self._turn:
            raise Cancelled("the daemon was lost")
