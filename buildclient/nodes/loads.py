"""How many builds the daemons in a few pods run: asked side by side, over connections that a build may then use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from buildclient.base.errors import ClientError, UnreachableError
from buildclient.daemon.interfaces import Control
from buildclient.kube.pod import Pod

__all__ = ["Loaded", "ask_loads", "close_all", "forget", "has_room"]

_LOG = logging.getLogger("buildclient.nodes")
_SLOWEST = 3.0
"""Seconds after which pods that have not answered are left out, if another has."""
_LIMIT = 20.0
"""Seconds for a daemon to say what it builds."""
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds between questions for a build that its daemon does not list yet."""
_FORGET = 10.0
"""Seconds to remove a record in."""


class Loaded(NamedTuple):
    """A daemon that answered."""

    control: Control
    builds: int
    """How many it runs."""


async def ask_loads(pods: Sequence[Pod], connect: Callable[[Pod], Awaitable[Control]]) -> dict[str, Loaded]:
    """Returns the daemons that answered, by the pods' names, in the order of `pods`.

    Those that were late or failed are closed. Raises UnreachableError at once for what no other pod would mend.
    """
    tasks = {asyncio.ensure_future(_load(connect, pod)): pod for pod in pods}
    found: dict[str, Loaded] = {}
    waiting = set(tasks)
    try:
        while waiting:
            limit = _SLOWEST if found else None
            done, waiting = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in done:
                try:
                    found[tasks[task].name] = task.result()
                except ClientError as error:
                    if isinstance(error, UnreachableError) and error.exit_status != UnreachableError.exit_status:
                        raise
                    _LOG.debug("%s: its load is not known: %s", tasks[task].name, error)
        return {pod.name: found[pod.name] for pod in pods if pod.name in found}
    except BaseException:
        await close_all(found)
        raise
    finally:
        for task in waiting:
            task.cancel()
        for late in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(late, Loaded):
                await late.control.close()


async def close_all(loaded: Mapping[str, Loaded], but: Iterable[Control] = ()) -> None:
    """Closes the connections, except some."""
    kept = list(but)
    for one in loaded.values():
        if not any(one.control is control for control in kept):
            await one.control.close()


async def has_room(control: Control, ref: str, limit: int) -> bool:
    """Returns whether the daemon began fewer than `limit` of the builds that it runs before build `ref`.

    All clients ask after they have begun, and the daemon's own record says who was first: so of clients that come at
    the same moment just as many stay as there is room. A daemon that does not say has room.
    """
    from buildclient.daemon.records import build_records

    for pause in _PAUSES:
        try:
            records = await control.ask(build_records(active_only=True), asyncio.get_running_loop().time() + _LIMIT)
        except ClientError as error:
            _LOG.debug("build %s: whether there is room is not known: %s", ref, error)
            return True
        running = [(record.created, record.ref) for record in records if record.completed is None]
        own = next((one for one in running if one[1] == ref), None)
        if own is not None:
            return sum(one < own for one in running) < limit
        await asyncio.sleep(pause)
    return True


async def forget(control: Control, ref: str) -> None:
    """Removes the record of a build that was taken back, and closes the connection.

    A record that cannot be removed within ten seconds stays, as that of a cancelled build.
    """
    from buildclient.daemon.records import build_records, remove_record

    deadline = asyncio.get_running_loop().time() + _FORGET
    try:
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout_at(deadline):
                # BuildKit writes the record when the build has ended, and removes none before.
                while any(one.completed is None for one in await control.ask(build_records(ref), deadline)):
                    await asyncio.sleep(_PAUSES[1])
                await control.ask(remove_record(ref), deadline)
    finally:
        with contextlib.suppress(ClientError):
            await control.close()


async def _load(connect: Callable[[Pod], Awaitable[Control]], pod: Pod) -> Loaded:
    from buildclient.daemon.records import build_records

    control = await connect(pod)
    try:
        records = await control.ask(build_records(active_only=True), asyncio.get_running_loop().time() + _LIMIT)
    except BaseException:
        with contextlib.suppress(ClientError):
            await control.close()
        raise
    return Loaded(control, sum(record.completed is None for record in records))
