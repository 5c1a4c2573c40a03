"""Runs several coroutines at once and cancels the rest when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["gather_all"]

_T = TypeVar("_T")


async def gather_all(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Runs all at once. The first failure cancels the rest, waits for them to end, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
