"""Connections that several builds share: opened once, lent, forgotten when lost, ended together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.nodes.pool import ConnectionPool


class _Control:
    """A connection that counts its ends, and answers with an error if it has one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    async def workers(self, deadline: float) -> Any:
        if self.error:
            raise self.error
        return ("worker",)

    async def close(self) -> None:
        self.closed += 1


class _Daemons:
    """Opens connections, slowly."""

    def __init__(self, *controls: _Control | Exception) -> None:
        self.left = list(controls)
        self.opened: list[_Control] = []

    async def connect(self) -> Any:
        await asyncio.sleep(0.02)
        control = self.left.pop(0)
        if isinstance(control, Exception):
            raise control
        self.opened.append(control)
        return control


async def test_all_that_ask_get_the_one_connection() -> None:
    """Closing it is the pool's, once; another key is another connection."""
    pool, daemons = ConnectionPool(), _Daemons(_Control(), _Control())
    lent = await asyncio.gather(pool.get("a", daemons.connect), pool.get("a", daemons.connect))
    assert len(daemons.opened) == 1
    await lent[0].close()
    assert await lent[1].workers(0) == ("worker",)
    await pool.get("b", daemons.connect)
    await pool.close()
    assert [control.closed for control in daemons.opened] == [1, 1]


async def test_whoever_asked_first_may_go() -> None:
    """A build that is cancelled while it connects takes the connection from nobody."""
    pool, daemons = ConnectionPool(), _Daemons(_Control())
    first = asyncio.ensure_future(pool.get("a", daemons.connect))
    second = asyncio.ensure_future(pool.get("a", daemons.connect))
    await asyncio.sleep(0)
    first.cancel()
    assert await (await second).workers(0) == ("worker",)
    await pool.close()


async def test_what_is_lost_is_lent_no_more() -> None:
    """Neither a connection that could not be made nor one that broke; a build that failed breaks none."""
    broken, failed = _Control(UnreachableError("lost")), _Control(BuildFailed("step"))
    pool, daemons = ConnectionPool(), _Daemons(UnreachableError("gone"), broken, failed)
    with pytest.raises(UnreachableError, match="gone"):
        await pool.get("a", daemons.connect)
    with pytest.raises(UnreachableError, match="lost"):
        await (await pool.get("a", daemons.connect)).workers(0)
    with pytest.raises(BuildFailed):
        await (await pool.get("a", daemons.connect)).workers(0)
    with pytest.raises(BuildFailed):
        await (await pool.get("a", daemons.connect)).workers(0)
    await pool.close()
    assert (broken.closed, failed.closed) == (1, 1)


async def test_the_end_does_not_wait_for_a_connection_that_does_not_come() -> None:
    """What is still being made is given up."""
    pool = ConnectionPool()

    async def never() -> Any:
        await asyncio.sleep(60)

    asking = asyncio.ensure_future(pool.get("a", never))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(pool.close(), 20)
    with pytest.raises(asyncio.CancelledError):
        await asking
