"""Several coroutines at once, none of which outlives the others' failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["gather_all"]

_T = TypeVar("_T")


async def gather_all(work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Runs all at once; the first failure cancels the rest, waits for their end, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
