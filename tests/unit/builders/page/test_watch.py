"""Who is asked when, and what one builder's silence does to others: nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from buildkit_builders.page.look import LookError
from buildkit_builders.page.model import DriftView, Found, Seen, Snapshot
from buildkit_builders.page.sources import Listed
from buildkit_builders.page.watch import Pace, Watcher

from buildclient.base.errors import UnreachableError
from tests.page_views import output

PACE = Pace(period=0.05, timeout=30, tick=0.005, at_once=2, idle=60)


class Here:
    """A source that lists builders, or fails."""

    name = "context staging"

    def __init__(self, *namespaces: str, context: str = "staging", stack: str = "") -> None:
        self.listed = Listed(tuple(Found(output(one), context, stack=stack) for one in namespaces))
        self.error = ""

    async def find(self) -> Listed:
        """The builders."""
        if self.error:
            raise UnreachableError(self.error)
        return self.listed


@asynccontextmanager
async def watching(watcher: Watcher) -> AsyncIterator[None]:
    """Watches meanwhile."""
    task = asyncio.ensure_future(watcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(watcher: Watcher, holds: Callable[[Snapshot], bool]) -> Snapshot:
    """The first snapshot of which that holds."""
    async with asyncio.timeout(60):
        while not holds(snapshot := watcher.snapshot()):
            await asyncio.sleep(0.005)
    return snapshot


async def test_builders_that_do_not_answer_hold_up_no_others() -> None:
    """Three of a cluster hang while all of another one answer; then each has its reason, and the last one answers."""
    hanging = {"a", "b", "c"}
    answered: set[str] = set()
    give_up = asyncio.Event()

    async def look(found: Found, timeout: float) -> Seen:
        if found.output.namespace in hanging:
            await give_up.wait()
            raise LookError("no answer")
        answered.add(found.output.namespace)
        return Seen(1.0)

    others = {f"n{number}" for number in range(50)}
    watcher = Watcher([Here(*hanging, "d"), Here(*others, context="prod")], look, PACE)
    async with watching(watcher):
        await until(watcher, lambda now: sum(bool(view.seen) for view in now.builders) == len(others))
        assert answered == others
        give_up.set()
        done = await until(watcher, lambda now: all(view.seen or view.error for view in now.builders))
    reasons = {view.found.output.namespace: view.error for view in done.builders if view.error}
    assert reasons == dict.fromkeys(hanging, "no answer")


async def test_what_was_known_stays_beside_the_reason_and_goes_with_it() -> None:
    """A builder that stops answering keeps what was seen; one that answers again has no reason any more."""
    fails = False

    async def look(found: Found, timeout: float) -> Seen:
        if fails:
            raise LookError("gone away")
        return Seen(7.0)

    watcher = Watcher([Here("a")], look, PACE)
    async with watching(watcher):
        await until(watcher, lambda now: any(view.seen for view in now.builders))
        fails = True
        (view,) = (await until(watcher, lambda now: any(view.error for view in now.builders))).builders
        assert (view.seen, view.error, view.state) == (Seen(7.0), "gone away", "unreachable")
        fails = False
        await until(watcher, lambda now: not any(view.error for view in now.builders))


async def test_a_fault_in_one_answer_is_that_builders_alone() -> None:
    """An error that nobody foresaw is shown at its builder, and the others go on."""

    async def look(found: Found, timeout: float) -> Seen:
        if found.output.namespace == "a":
            raise KeyError("surprise")
        return Seen(1.0)

    snapshot = await Watcher([Here("a", "b")], look, PACE).once()
    assert [view.error for view in snapshot.builders] == ["KeyError: 'surprise'", ""]


async def test_a_source_that_fails_says_so_and_keeps_its_builders() -> None:
    """A cluster that cannot be listed for a while loses nobody; a builder that is not listed any more is gone."""

    async def look(found: Found, timeout: float) -> Seen:
        return Seen(1.0)

    source = Here("a", "b")
    watcher = Watcher([source], look, PACE)
    async with watching(watcher):
        await until(watcher, lambda now: len(now.builders) == 2)
        source.error = "refused"
        snapshot = await until(watcher, lambda now: bool(now.problems))
        assert snapshot.problems == ("context staging: refused",)
        assert len(snapshot.builders) == 2
        source.error, source.listed = "", Here("b").listed
        snapshot = await until(watcher, lambda now: len(now.builders) == 1)
        assert not snapshot.problems


async def test_nothing_is_asked_while_nobody_looks() -> None:
    """After the last look it falls silent, and the next one wakes it."""
    asked = 0

    async def look(found: Found, timeout: float) -> Seen:
        nonlocal asked
        asked += 1
        return Seen(float(asked))

    watcher = Watcher([Here("a")], look, PACE._replace(idle=0.2))
    async with watching(watcher):
        await until(watcher, lambda now: any(view.seen for view in now.builders))
        await asyncio.sleep(0.4)
        before = asked
        await asyncio.sleep(0.3)
        assert asked == before
        await until(watcher, lambda now: asked > before)


async def test_drift_is_looked_for_once_in_its_own_time_and_one_stack_at_a_time() -> None:
    """Builders without a stack are left out; the others are looked at once, one after another."""
    looked: list[str] = []
    busy = 0

    def drift(found: Found) -> DriftView:
        nonlocal busy
        busy += 1
        assert busy == 1
        time.sleep(0.03)
        looked.append(found.stack)
        busy -= 1
        return DriftView(5.0, ("spec.replicas: 2 -> 3",))

    async def look(found: Found, timeout: float) -> Seen:
        return Seen(1.0)

    sources = [Here("a", stack="one"), Here("b", stack="two"), Here("c")]
    watcher = Watcher(sources, look, PACE, drift)
    async with watching(watcher):
        await until(watcher, lambda now: sum(view.drifted for view in now.builders) == 2)
        await asyncio.sleep(0.2)
    assert sorted(looked) == ["one", "two"]
    off = Watcher(sources, look, PACE._replace(drift=0), drift)
    assert not any(view.drift for view in (await off.once()).builders)
