"""Reads standard input so that a cancelled build need not wait for its end."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from typing import BinaryIO

from buildclient.base.errors import Cancelled

__all__ = ["Stdin"]

_PIECE = 1 << 20
_EVERY = 100
"""Milliseconds between two looks at whether the build still wants it."""


class Stdin:
    """Reads a pipe, a terminal or a file; gives up when `stopped` says so."""

    def __init__(self, file: BinaryIO | None, stopped: Callable[[], bool]) -> None:
        """A file without a descriptor (in memory) is read as it is; None is the process's own."""
        # A process may have none at all.
        self._file = file or (sys.stdin.buffer if sys.stdin else io.BytesIO())
        self._stopped = stopped
        try:
            self._handle = self._file.fileno()
        except OSError:
            self._handle = -1

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end. Raises Cancelled, OSError."""
        if self._handle < 0:
            return self._file.read(size)
        # Not `select`, which knows no descriptor above 1023.
        ready = select.poll()
        ready.register(self._handle, select.POLLIN)
        pieces = []
        while size:
            if self._stopped():
                raise Cancelled("standard input is no longer waited for")
            if not ready.poll(_EVERY):
                continue
            piece = os.read(self._handle, min(size, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
