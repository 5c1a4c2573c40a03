"""The cursor of a terminal: hidden while a live display redraws, and back on every way out.

`shown` ends a display in a `finally`. A process that leaves by `os._exit` calls `show_all`, and a signal that stops or
kills it by its default action is caught for as long as the cursor is hidden.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TextIO

__all__ = ["Cursor", "show_all"]

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CAUGHT = (signal.SIGTSTP, signal.SIGQUIT)
"""Signals of a terminal that nobody else handles; the command itself handles SIGINT, SIGTERM and SIGHUP."""
_hidden: list[Cursor] = []


def show_all() -> None:
    """Shows every hidden cursor. Safe in a signal handler."""
    for cursor in list(_hidden):
        cursor.write_shown()


class Cursor:
    """The cursor of the terminal that a stream writes to."""

    def __init__(self, out: TextIO, redraw: Callable[[], None]) -> None:
        """`redraw` is called when the process goes on after it was stopped: other programs have written since."""
        self._out = out
        self._redraw = redraw
        self._caught: list[int] = []

    def hide(self) -> None:
        """Hides it, until `show`."""
        _hidden.append(self)
        self._out.write(_HIDE)
        if self._out.isatty() and threading.current_thread() is threading.main_thread():
            for number in _CAUGHT:
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._signalled)
                    self._caught.append(number)

    def show(self) -> None:
        """Shows it again."""
        if self in _hidden:
            _hidden.remove(self)
        for number in self._caught:
            signal.signal(number, signal.SIG_DFL)
        self._caught.clear()
        self._out.write(_SHOW)

    def write_shown(self) -> None:
        """Shows it past the stream's buffer, whatever the stream is doing."""
        with contextlib.suppress(OSError, ValueError):
            os.write(self._out.fileno(), _SHOW.encode())

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.write_shown()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Only a process that was stopped comes here, once it goes on.
        signal.signal(number, self._signalled)
        with contextlib.suppress(OSError, ValueError):
            os.write(self._out.fileno(), _HIDE.encode())
        self._redraw()
