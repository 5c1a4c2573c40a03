"""Runs a command's coroutine: a signal ends it in order, and no thread is waited for.

`asyncio.run` waits for every thread that a cancelled call left behind: a credential helper that asks its user, a
registry that hangs. The process exits with os._exit (`buildclient.cli.main.run`), so such threads do no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

from buildclient.base.errors import Cancelled
from buildclient.progress.cursor import show_all

__all__ = ["cancelled_build", "run"]

_T = TypeVar("_T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HELD_UP = 3.0
"""Seconds that the loop may take to hear of a signal."""
_GRACE = 1.0
"""Seconds that tasks have which the command left behind."""


def cancelled_build() -> Cancelled:
    """What an interrupted build ends with, in the daemon's words."""
    error = Cancelled("failed to solve: Canceled: context canceled")
    error.of_build = True
    return error


def run(work: Coroutine[Any, Any, _T], cancelled: Cancelled | None = None) -> _T:
    """What the coroutine gives. The first signal cancels it, the second leaves at once.

    Cancelled so, it raises `cancelled`.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    cancelled = cancelled or Cancelled("interrupted")
    heard = _Heard(task, cancelled)
    # nohup's answer to a terminal that goes away stays as it is.
    caught = [one for one in _SIGNALS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in caught}
    for number in caught:
        loop.add_signal_handler(number, heard.stop)
        # In place of asyncio's, which does nothing: the loop learns of signals through a descriptor.
        signal.signal(number, heard.signalled)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise cancelled from None
    finally:
        _end(loop)
        for number in caught:
            loop.remove_signal_handler(number)
            # asyncio leaves Python's own for SIGINT, which raises wherever the program is by then.
            signal.signal(number, before[number])
        loop.close()


class _Heard:
    """What a signal does: it cancels the task, or ends the process where the loop does not come to that."""

    def __init__(self, task: asyncio.Task[Any], cancelled: Cancelled) -> None:
        self._task = task
        self._cancelled = cancelled
        self._signals = 0
        self._stopped = False

    def stop(self) -> None:
        """Called by the loop."""
        self._stopped = True
        self._task.cancel()

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Called by Python, also while the loop's thread is held up: by a named pipe that nobody opens, for one."""
        self._signals += 1
        if self._signals > 1:
            show_all()
            os._exit(Cancelled.exit_status)
        watch = threading.Timer(_HELD_UP, self._leave)
        watch.daemon = True
        watch.start()

    def _leave(self) -> None:
        if not self._stopped:
            show_all()
            with contextlib.suppress(OSError):
                os.write(
                    2, f"ERROR: {'failed to build: ' if self._cancelled.of_build else ''}{self._cancelled}\n".encode()
                )
            os._exit(Cancelled.exit_status)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_GRACE))
    loop.run_until_complete(loop.shutdown_asyncgens())
