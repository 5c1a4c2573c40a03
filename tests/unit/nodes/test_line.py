"""The wait for a pod that has room: places, dead clients, and what a build leaves behind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.daemon.records import BuildRecord
from buildclient.kube.lease import LIFETIME, Ticket
from buildclient.kube.pod import Owner, Pod
from buildclient.nodes import line as line_module
from buildclient.nodes.admission import PodFull, admitted
from buildclient.nodes.choice import by_load, ranked
from buildclient.nodes.line import Line
from buildclient.nodes.loads import ask_loads, has_room
from buildclient.nodes.tickets import STALE, Observer
from buildclient.progress.events import Event, EventSink, Log
from tests.load import busy, until

PODS = [Pod(name, "ns", ready=True, terminating=False) for name in ("a", "b")]


class _Queue:
    """The cluster's Leases, in memory."""

    def __init__(self) -> None:
        self.held: dict[str, Ticket] = {}
        self.numbers = itertools.count(1)
        self.refuses: UnreachableError | None = None

    async def tickets(self) -> Sequence[Ticket]:
        return list(self.held.values())

    async def changed(self, seconds: float) -> None:
        await asyncio.sleep(0.01)

    async def take(self, owner: Owner | None = None) -> Ticket:
        if self.refuses:
            raise self.refuses
        number = next(self.numbers)
        self.held[f"t{number}"] = ticket = Ticket(f"t{number}", number, str(number), 4e9)
        return ticket

    async def renew(self, ticket: Ticket) -> bool:
        return ticket.name in self.held

    async def give_back(self, ticket: Ticket, *, only_unchanged: bool = False) -> None:
        self.held.pop(ticket.name, None)


class _Daemon:
    """Runs so many builds."""

    def __init__(self, builds: int) -> None:
        self.builds, self.closed = builds, False

    async def ask(self, query: Any, deadline: float) -> Any:
        return tuple(BuildRecord(f"r{number}", created=number) for number in range(self.builds))

    async def close(self) -> None:
        self.closed = True


class _World:
    def __init__(self, **builds: int) -> None:
        self.queue = _Queue()
        self.builds = builds
        self.daemons: list[_Daemon] = []
        self.said: list[str] = []

    def line(self, limit: int = 1) -> Line:
        return Line("n", limit, self.queue, lambda _, said: self.said.append(said))

    async def pods(self) -> Sequence[Pod]:
        return PODS

    async def connect(self, pod: Pod) -> Any:
        self.daemons.append(_Daemon(self.builds[pod.name]))
        return self.daemons[-1]

    async def turn(self, line: Line, *, sticky: bool = True, behind: bool = False) -> str:
        pod, _ = await asyncio.wait_for(line.turn(self.pods, self.connect, sticky=sticky, behind=behind), busy(5))
        return pod.name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another at once."""
    monkeypatch.setattr(line_module, "_LOOK", 0.01)


async def test_a_pod_with_room_costs_no_ticket() -> None:
    """The next of the order takes a build that the first one has no room for; other connections are closed."""
    world = _World(a=1, b=0)
    assert await world.turn(world.line()) == "b"
    assert not world.queue.held
    assert [daemon.closed for daemon in world.daemons] == [True, False]
    assert world.said == []


async def test_a_sticky_build_goes_to_the_first_with_room_others_to_the_least_loaded() -> None:
    """Both below the limit."""
    world = _World(a=1, b=0)
    assert await world.turn(world.line(2)) == "a"
    assert await world.turn(world.line(2), sticky=False) == "b"


async def test_builds_are_served_in_the_order_of_their_tickets() -> None:
    """The place is told when it changes; a build keeps its ticket until it leaves."""
    world = _World(a=1, b=1)
    lines = [world.line() for _ in range(3)]
    served: list[int] = []

    async def wait(number: int) -> None:
        await world.turn(lines[number], behind=number > 0)
        served.append(number)
        world.builds["a"] = 1
        await lines[number].leave()

    tasks = []
    for number in range(3):
        tasks.append(asyncio.ensure_future(wait(number)))
        await until(lambda: f"every pod is at its limit of 1; place {len(tasks)} of {len(tasks)}" in world.said)
    for number in range(3):
        world.builds["a"] = 0
        await until(tasks[number].done)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2]
    assert not world.queue.held
    assert world.said[-1] == ""


async def test_who_gives_up_leaves_nothing() -> None:
    """The ticket goes with the task."""
    world = _World(a=1, b=1)
    task = asyncio.ensure_future(world.turn(world.line()))
    await until(lambda: world.queue.held)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not world.queue.held


async def test_a_ticket_that_is_gone_is_taken_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a client slept for so long that it counted as dead."""
    monkeypatch.setattr(line_module, "RENEWED_EVERY", 0.0)
    world = _World(a=1, b=1)
    task = asyncio.ensure_future(world.turn(world.line()))
    await until(lambda: world.queue.held)
    world.queue.held.clear()
    await until(lambda: world.queue.held)
    world.builds["b"] = 0
    assert await task == "b"


async def test_a_client_that_may_not_queue_looks_now_and_then() -> None:
    """It is told why."""
    world = _World(a=1, b=1)
    world.queue.refuses = UnreachableError("may not create leases")
    world.queue.refuses.exit_status = ConfigurationError.exit_status
    task = asyncio.ensure_future(world.turn(world.line()))
    await until(lambda: world.said)
    assert world.said == ["every pod is at its limit of 1; without a queue: may not create leases"]
    world.builds["a"] = 0
    assert await task == "a"


async def test_the_first_takes_the_tickets_of_the_dead_away() -> None:
    """Those that have not been renewed for hours at once."""
    world = _World(a=1, b=1)
    world.queue.held["dead"] = Ticket("dead", 0, "0", 5.0)
    task = asyncio.ensure_future(world.turn(world.line()))
    await until(lambda: [*world.queue.held] == ["t1"])
    world.builds["a"] = 0
    assert await task == "a"


def test_a_ticket_dies_by_the_observer_s_clock() -> None:
    """Counted from when its present version was first seen; a renewal begins anew."""
    observer = Observer()
    one, two = Ticket("one", 1, "1", 100.0), Ticket("two", 2, "2", 100.0)
    assert observer.live([two, one], 0.0, 100.0) == [one, two]
    renewed = two._replace(version="3")
    assert observer.live([one, renewed], LIFETIME - 1, 100.0) == [one, renewed]
    assert observer.live([one, renewed], LIFETIME + 1, 100.0) == [renewed]
    assert Observer().live([one], 0.0, 100.0 + STALE) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8), st.integers(0, 5))
def test_the_least_loaded_below_the_limit_come_first(loads: list[tuple[int, int]], limit: int) -> None:
    """Of equals the order stays; a pod whose load is not known is left out."""
    known = {f"p{name}": load for name, load in loads}
    order = [Pod(f"p{name}", "", ready=True, terminating=False) for name in range(10)]
    found = by_load(order, known, limit)
    assert [known[pod.name] for pod in found] == sorted(known[pod.name] for pod in found)
    assert {pod.name for pod in found} == {name for name, load in known.items() if not limit or load < limit}
    for one, two in itertools.pairwise(found):
        assert known[one.name] < known[two.name] or order.index(one) < order.index(two)


def test_a_limit_moves_a_build_to_the_next_of_its_own_order() -> None:
    """Not to the same one for all: the keys of a full pod spread over the others."""
    pods = [Pod(f"builder-{number}", "", ready=True, terminating=False) for number in range(11)]
    orders = [ranked(pods, "sticky", f"key-{number}") for number in range(500)]
    seconds = {order[1].name for order in orders if order[0] == pods[0]}
    assert len(seconds) > 7


async def test_of_builds_that_come_together_as_many_stay_as_there_is_room() -> None:
    """By the order in which the daemon began them."""

    class _Records:
        async def ask(self, query: Any, deadline: float) -> Any:
            return tuple(BuildRecord(f"r{number}", created=float(number // 2)) for number in range(6))

    stays = [await has_room(_Records(), f"r{number}", 3) for number in range(6)]  # type: ignore[arg-type]
    assert stays == [True, True, True, False, False, False]


async def test_a_pod_that_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is late is closed."""
    monkeypatch.setattr("buildclient.nodes.loads._SLOWEST", 0.5)

    async def connect(pod: Pod) -> Any:
        if pod.name == "a":
            await asyncio.sleep(60)
        return _Daemon(3)

    loads = await ask_loads(PODS, connect)
    assert {name: one.builds for name, one in loads.items()} == {"b": 3}


async def test_a_solve_that_may_not_stay_shows_nothing() -> None:
    """It is ended first; one that stays shows all from its beginning."""
    seen: list[Event] = []
    ended: list[str] = []

    def solve(seconds: float) -> Callable[[EventSink], Awaitable[str]]:
        async def run(sink: EventSink) -> str:
            sink(Log("d", 1, b"begun", 0.0))
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            sink(Log("d", 1, b"ended", 0.0))
            return "done"

        return run

    async def answer(value: bool) -> bool:
        await asyncio.sleep(0.02)
        return value

    with pytest.raises(PodFull):
        await admitted(solve(60), lambda: answer(False), seen.append)
    assert (seen, ended) == ([], ["cancelled"])
    assert await admitted(solve(0.05), lambda: answer(True), seen.append) == "done"
    assert await admitted(solve(0.0), lambda: answer(False), seen.append) == "done"
    assert [event.data for event in seen if isinstance(event, Log)] == [b"begun", b"ended"] * 2
