"""Runs a command's coroutine: a signal ends it in order, and no thread is waited for.

`asyncio.run` waits for every thread that a cancelled call left behind: a credential helper that asks its user, a
registry that hangs. The process leaves without taking itself apart (`buildclient.cli.main.run`), so they may stay.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from buildclient.base.errors import Cancelled

__all__ = ["cancelled_build", "run"]

_T = TypeVar("_T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(Cancelled.exit_status)
        task.cancel()

    # nohup's answer to a terminal that goes away stays as it is.
    caught = [one for one in _SIGNALS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in caught}
    for number in caught:
        loop.add_signal_handler(number, stop)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise (cancelled or Cancelled("interrupted")) from None
    finally:
        _end(loop)
        for number in caught:
            loop.remove_signal_handler(number)
            # asyncio leaves Python's own for SIGINT, which raises wherever the program is by then.
            signal.signal(number, before[number])
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_GRACE))
    loop.run_until_complete(loop.shutdown_asyncgens())
