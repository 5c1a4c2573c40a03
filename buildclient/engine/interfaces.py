"""Protocols of engines: what an image is loaded into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from buildclient.engine.messages import LoadMessage

__all__ = ["Load"]


class Load(Protocol):
    """An archive on its way into an engine; one thread uses it, `abort` may be called in any."""

    def write(self, data: bytes | memoryview) -> None:
        """Sends the next bytes. Raises EngineError."""

    def finish(self, tell: Callable[[LoadMessage], None]) -> None:
        """Ends the archive and waits until the image is loaded; `tell` is called with each message of the engine.

        Raises EngineError.
        """

    def abort(self) -> None:
        """Breaks the archive off: the engine then loads nothing."""
