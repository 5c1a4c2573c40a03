"""A solve that begins at once, and is taken back where its pod turns out to be full.

So a pod that has room costs no round trip more. Nothing of a solve that is taken back is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from buildclient.progress.events import Event, EventSink

__all__ = ["PodFull", "admitted"]

_T = TypeVar("_T")


class PodFull(Exception):
    """The pod runs as many builds as it may. Not an error: the build goes to another pod."""

    def __init__(self, ref: str = "") -> None:
        """`ref` is the build that was taken back."""
        super().__init__(ref)
        self.ref = ref


async def admitted(
    solve: Callable[[EventSink], Awaitable[_T]], stays: Callable[[], Awaitable[bool]], sink: EventSink
) -> _T:
    """Returns what the solve returns; its events go to `sink` from the moment when it is known to stay.

    Raises PodFull, once the solve has ended, if `stays` says that it may not, and else as `solve` does.
    """
    held: list[Event] | None = []

    def hold(event: Event) -> None:
        if held is None:
            sink(event)
        else:
            held.append(event)

    async def solved() -> _T:
        return await solve(hold)

    async def asked() -> bool:
        return await stays()

    solving, asking = asyncio.ensure_future(solved()), asyncio.ensure_future(asked())
    try:
        await asyncio.wait({solving, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not solving.done() and not asking.result():
            raise PodFull
        events, held = held, None
        for event in events or ():
            sink(event)
        return await solving
    finally:
        for task in (solving, asking):
            task.cancel()
        await asyncio.gather(solving, asking, return_exceptions=True)
