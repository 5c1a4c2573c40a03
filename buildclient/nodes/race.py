"""Connects to the best pod that answers: one after the other, and side by side once one is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from buildclient.base.errors import DaemonLost, UnreachableError
from buildclient.kube.pod import Pod

__all__ = ["HEAD_START", "race"]

_T = TypeVar("_T")
HEAD_START = 8.0
"""Seconds that a pod has alone before the next one is tried beside it. Most answer in a tenth of one."""


async def race(
    pods: Sequence[Pod],
    connect: Callable[[Pod, float], Awaitable[_T]],
    close: Callable[[_T], Awaitable[None]],
    until: float,
    head_start: float = HEAD_START,
) -> tuple[Pod, _T]:
    """Returns the first pod that answers, and its connection; `close` ends that of any other.

    `until`, on the loop's clock, is passed on to `connect`: all of them together take no longer than one.

    Raises UnreachableError once all have failed, or at once for what no other pod would mend, such as a permission.
    """
    waiting = list(pods)
    tasks: dict[asyncio.Task[_T], Pod] = {}
    errors: list[UnreachableError] = []

    async def one(pod: Pod) -> _T:
        return await connect(pod, until)

    try:
        while waiting or tasks:
            if waiting:
                pod = waiting.pop(0)
                tasks[asyncio.ensure_future(one(pod))] = pod
            limit = head_start if waiting else None
            done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=list(tasks).index):
                try:
                    found = task.result()
                except UnreachableError as error:
                    del tasks[task]
                    if error.exit_status != UnreachableError.exit_status:
                        raise
                    errors.append(error)
                else:
                    return tasks.pop(task), found
        raise _most_telling(errors)
    finally:
        for task in tasks:
            task.cancel()
        for late in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(late, BaseException):
                await close(late)


def _most_telling(errors: Sequence[UnreachableError]) -> UnreachableError:
    """The error that says what to do: of a daemon that is silent, of one that is gone, of anything else."""
    lost = [error for error in errors if isinstance(error, DaemonLost)]
    return next((error for error in lost if error.silent), None) or next(iter(lost), None) or errors[0]
