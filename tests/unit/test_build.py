"""The recipe of a build, with fakes for the world: what runs at once, what fails, what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed, UnreachableError, UsageError
from buildclient.build import build
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import Platform, parse_platform
from buildclient.daemon.provenance import Provenance
from buildclient.daemon.worker import Worker
from buildclient.progress.events import Event, EventSink, Vertex
from buildclient.request.solve import SolveRequest
from buildclient.request.values import BuildRequest, Output

AMD, ARM, S390 = (parse_platform(f"linux/{name}") for name in ("amd64", "arm64", "s390x"))
PUSH = (Output("image", {"push": "true"}),)


class FakeControl:
    """One daemon: answers, fails, or never ends."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    async def workers(self, deadline: float) -> Sequence[Worker]:
        return (Worker("w", {}, self.world.reported.get(self.name, ())),)

    async def solve(self, request: SolveRequest, handlers: Any, sink: EventSink) -> Mapping[str, str]:
        self.world.solves[self.name] = request
        sink(Vertex("d", "step"))
        try:
            answer = self.world.answers.get(self.name, {"containerimage.digest": f"sha256:{self.name}"})
            if isinstance(answer, list):
                answer = answer.pop(0)
            if answer == "never":
                await asyncio.sleep(60)
            await asyncio.sleep(0.01)
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[return-value]
        except asyncio.CancelledError:
            self.world.log.append(f"cancelled {self.name}")
            raise

    async def provenance(self, ref: str, deadline: float) -> Mapping[str, Provenance]:
        self.world.records.append(self.name)
        return {"": Provenance("https://slsa.dev/provenance/v0.2", b'{"builder": {"id": ""}}')}

    async def close(self) -> None:
        self.world.log.append(f"closed {self.name}")


class FakeNode:
    def __init__(self, world: World, node: NodeOutput) -> None:
        self.world, self.node = world, node

    async def open(self, key: str, deadline: float) -> FakeControl:
        self.world.keys.append(key)
        if self.node.name in self.world.unreachable:
            raise UnreachableError(f"no way to {self.node.name}")
        await asyncio.sleep(0.01)
        return FakeControl(self.world, self.node.name)


class Prepared:
    dirs: Mapping[str, Any] = {}
    attrs: Mapping[str, str] = {"filename": "Dockerfile"}
    shared_key = "app"
    uploads: Mapping[str, str] = {}


class FakeExports:
    def __init__(self, world: World) -> None:
        self.world = world

    def receivers(self, node: int) -> dict[int, Any]:
        return {}

    def commit(self) -> None:
        self.world.log.append("commit")

    def abort(self) -> None:
        self.world.log.append("abort")


class World:
    """Everything around a build; fulfils `Tools`."""

    def __init__(self, **nodes: tuple[Platform, ...]) -> None:
        self.output = BuilderOutput("kube", "ns", tuple(NodeOutput(n, "ns", p) for n, p in nodes.items()))
        self.log: list[str] = []
        self.keys: list[str] = []
        self.records: list[str] = []
        self.solves: dict[str, SolveRequest] = {}
        self.answers: dict[str, Any] = {}
        self.reported: dict[str, tuple[Platform, ...]] = {}
        self.unreachable: set[str] = set()
        self.wrong_context: Exception | None = None
        self.merge_error: Exception | None = None
        self.events: list[Event] = []

    def nodes(self, output: BuilderOutput) -> Sequence[FakeNode]:
        return [FakeNode(self, node) for node in output.nodes]

    def routing_key(self, request: BuildRequest) -> str:
        return "derived"

    @contextlib.contextmanager
    def prepare(self, request: BuildRequest, stopped: Callable[[], bool]) -> Iterator[Prepared]:
        if self.wrong_context:
            raise self.wrong_context
        self.log.append("prepared")
        yield Prepared()
        self.log.append("cleaned")

    def exports(self, request: BuildRequest, nodes: int) -> FakeExports:
        return FakeExports(self)

    def credentials(self) -> dict[str, Any]:
        return {}

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        self.log.append("merge " + " ".join(response["containerimage.digest"] for response in responses))
        if self.merge_error:
            raise self.merge_error
        return "sha256:merged"

    async def build(self, **fields: Any) -> Any:
        """Builds in this world."""
        deadline = asyncio.get_running_loop().time() + 5
        return await build(self.output, BuildRequest(**fields), self, self.events.append, deadline)


async def test_one_node_pushes_its_tags_itself() -> None:
    """A build on one node is pushed under its tags by the daemon; nothing is merged here."""
    world = World(a=(AMD,), b=(ARM,))
    result = await world.build(tags=("r/app:1",), platforms=(ARM,), outputs=PUSH)
    assert result.digest == "sha256:b"
    assert world.solves["b"].exporters[0].attrs["name"] == "r/app:1"
    assert "push-by-digest" not in world.solves["b"].exporters[0].attrs
    assert world.log == ["prepared", "commit", "abort", "closed b", "cleaned"]


RACED = "failed to solve: failed to push r/app: errors:\nunknown: blob unknown to registry - sha256:b"


async def test_a_push_that_another_nodes_push_spoilt_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes push one layer at once; the one that the registry refused for it pushes again, as a new solve."""
    monkeypatch.setattr("buildclient.build._RACE_PAUSES", (0.0, 0.0))
    world = World(a=(AMD,), b=(ARM,))
    done = {"containerimage.digest": "sha256:b"}
    world.answers["b"] = [BuildFailed(RACED), done]
    result = await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert result.digest == "sha256:merged"
    assert "merge sha256:a sha256:b" in world.log
    assert len({solve.ref for solve in world.solves.values()}) == 2


@pytest.mark.parametrize(
    ("message", "outputs"),
    [(RACED, PUSH), ("failed to push r/app: denied", PUSH), (RACED, (*PUSH, Output("local", dest="x")))],
    ids=["again and again", "another reason", "another output"],
)
async def test_a_push_that_fails_for_good_fails_the_build(
    monkeypatch: pytest.MonkeyPatch, message: str, outputs: tuple[Output, ...]
) -> None:
    """What is no race, or comes back, is told; a build whose results come back is not run twice."""
    monkeypatch.setattr("buildclient.build._RACE_PAUSES", (0.0, 0.0))
    world = World(a=(AMD,), b=(ARM,))
    world.answers["b"] = answers = [BuildFailed(message)] * 3
    with pytest.raises(BuildFailed, match="failed to push"):
        await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=outputs)
    assert len(answers) == (0 if (message, outputs) == (RACED, PUSH) else 2)
    assert not any(line.startswith("merge") for line in world.log)


async def test_several_nodes_push_by_digest_and_are_merged() -> None:
    """Each node builds its share without tags, in the order of the platforms; one index takes the tags."""
    world = World(a=(AMD,), b=(ARM,))
    result = await world.build(tags=("r/app:1",), platforms=(ARM, AMD), outputs=PUSH)
    assert result.digest == result.image_id == "sha256:merged"
    assert "merge sha256:b sha256:a" in world.log
    for solve in world.solves.values():
        assert solve.exporters[0].attrs["push-by-digest"] == "true"
        assert solve.frontend_attrs["multi-platform"] == "true"
        assert ":1" not in solve.exporters[0].attrs["name"]
    assert len({solve.ref for solve in world.solves.values()}) == 1
    assert {event.node for event in world.events if isinstance(event, Vertex) and event.name == "step"} == {"a", "b"}


async def test_one_failure_ends_all_and_leaves_no_tag() -> None:
    """The failing node's error is raised, the other is cancelled, nothing is merged or committed."""
    world = World(a=(AMD,), b=(ARM,))
    world.answers = {"a": "never", "b": BuildFailed("failed to solve: step")}
    with pytest.raises(BuildFailed, match="failed to solve: step"):
        await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert "cancelled a" in world.log
    assert not any(line.startswith(("merge", "commit")) for line in world.log)
    assert set(world.log) >= {"abort", "closed a", "closed b", "cleaned"}


async def test_a_cancelled_build_cleans_up_quickly() -> None:
    """Cancellation ends both solves, takes away what came, and closes every connection."""
    world = World(a=(AMD,), b=(ARM,))
    world.answers = {"a": "never", "b": "never"}
    task = asyncio.ensure_future(world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert set(world.log) >= {"cancelled a", "cancelled b", "abort", "closed a", "closed b", "cleaned"}


async def test_cancelled_while_results_are_put_in_place_it_waits_for_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is half put in place is taken away before the command leaves, not by a thread after it."""
    world = World(a=(AMD,))
    begun, aborted = threading.Event(), threading.Event()

    class Slow(FakeExports):
        def commit(self) -> None:
            begun.set()
            assert aborted.wait(5)
            self.world.log.append("ended")

        def abort(self) -> None:
            super().abort()
            aborted.set()

    monkeypatch.setattr(world, "exports", lambda request, nodes: Slow(world))
    task = asyncio.ensure_future(world.build(outputs=(Output("oci", {}, "x"),)))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 3)
    assert world.log.index("abort") < world.log.index("ended") < world.log.index("closed a")


@pytest.mark.parametrize(
    ("nodes", "outputs", "asked"),
    [
        ({"a": (AMD,)}, PUSH, ["a"]),
        ({"a": (AMD,), "b": (ARM,)}, (Output("local", {}, "x"),), ["a", "b"]),
        ({"a": (AMD,), "b": (ARM,)}, PUSH, []),
    ],
)
async def test_the_metadata_says_what_the_build_came_from(
    nodes: dict[str, tuple[Platform, ...]], outputs: tuple[Output, ...], asked: list[str]
) -> None:
    """If that is wanted; of an image that is merged here its digest alone is told, as docker buildx does."""
    platforms = tuple(platform for one in nodes.values() for platform in one)
    for mode in ("", "min"):
        world = World(**nodes)
        result = await world.build(tags=("r/a:1",), platforms=platforms, outputs=outputs, metadata_provenance=mode)
        assert sorted(world.records) == (asked if mode else [])
        assert ("buildx.build.provenance" in result.metadata) is bool(mode and asked)


async def test_a_failed_merge_is_a_failed_step() -> None:
    """A registry that refuses the index fails the build, and its step in the progress."""
    world = World(a=(AMD,), b=(ARM,))
    world.merge_error = BuildFailed("the registry said no")
    with pytest.raises(BuildFailed, match="said no"):
        await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    last = [event for event in world.events if isinstance(event, Vertex)][-1]
    assert (last.name, last.error) == ("merging manifest list r/app:1", "the registry said no")
    assert "commit" not in world.log


async def test_only_nodes_with_a_share_are_reached() -> None:
    """A node that builds nothing is not connected to."""
    world = World(a=(AMD,), b=(ARM,))
    world.unreachable = {"a"}
    await world.build(platforms=(ARM,))
    assert list(world.solves) == ["b"]


async def test_a_platform_nobody_declares_goes_to_who_reports_it() -> None:
    """Emulated platforms are found by asking the daemons, each of which is connected to once."""
    world = World(a=(AMD,), b=(ARM,))
    world.reported = {"a": (AMD,), "b": (ARM, S390)}
    await world.build(platforms=(S390, AMD))
    assert world.solves["b"].frontend_attrs["platform"] == "linux/s390x"
    assert world.solves["a"].frontend_attrs["platform"] == "linux/amd64"
    assert len(world.keys) == 2


async def test_a_platform_nobody_has_is_wrong_usage() -> None:
    """What no node can build is said, with what they offer, and connections are closed."""
    world = World(a=(AMD,))
    world.reported = {"a": (AMD,)}
    with pytest.raises(UsageError, match="linux/s390x"):
        await world.build(platforms=(S390,))
    assert "closed a" in world.log


async def test_a_wrong_context_is_said_before_the_cluster() -> None:
    """What is the caller's to mend comes first, even when the builder is not reached either."""
    world = World(a=(AMD,))
    world.wrong_context = UsageError("no such folder")
    world.unreachable = {"a"}
    with pytest.raises(UsageError, match="no such folder"):
        await world.build()


async def test_an_unreached_builder_leaves_no_temporary_folder() -> None:
    """What was laid down for the context is removed when no pod is reached."""
    world = World(a=(AMD,))
    world.unreachable = {"a"}
    with pytest.raises(UnreachableError):
        await world.build()
    assert world.log == ["prepared", "cleaned"]


@pytest.mark.parametrize(("given", "used"), [("", "derived"), ("mine", "mine")])
async def test_the_routing_key_can_be_given(given: str, used: str) -> None:
    """A key of the request's own goes before the derived one."""
    world = World(a=(AMD,))
    await world.build(routing_key=given)
    assert world.keys == [used]
