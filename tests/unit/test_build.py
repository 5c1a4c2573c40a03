"""The recipe of a build, with fakes for the world: what runs at once, what fails, what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from buildclient.base.errors import BuildFailed, DaemonLost, UnreachableError, UsageError
from buildclient.build import build
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import Platform, parse_platform
from buildclient.daemon.gateway import GatewayWork
from buildclient.daemon.provenance import Provenance
from buildclient.daemon.worker import Worker
from buildclient.nodes.retries import Retries
from buildclient.progress.events import Event, EventSink, Vertex
from buildclient.request.destinations import ToFile, ToFolder
from buildclient.request.flagtext import parse_tags
from buildclient.request.solve import CacheEntry, SolveRequest
from buildclient.request.values import BuildRequest, NodeResult, Output
from buildclient.session.blobs import Store
from buildclient.session.call import Call, Service, methods_of
from tests.load import busy, until

AMD, ARM, S390 = (parse_platform(f"linux/{name}") for name in ("amd64", "arm64", "s390x"))
PUSH = (Output("image", {"push": "true"}),)


class FakeControl:
    """One daemon: answers, fails, or never ends."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name

    async def workers(self, deadline: float) -> Sequence[Worker]:
        self.world.asked.append(self.name)
        version = self.world.versions.get(self.name, "v0.34.2")
        return (Worker("w", {}, self.world.reported.get(self.name, ()), version),)

    async def solve(
        self, request: SolveRequest, services: Sequence[Service], sink: EventSink, work: GatewayWork | None = None
    ) -> Mapping[str, str]:
        self.world.works[self.name] = work
        self.world.solves[self.name] = request
        self.world.served[self.name] = sorted(methods_of(services))
        sink(Vertex("d", "step"))
        if request.exporters:
            sink(Vertex("e", "exporting to image"))
        try:
            answer = self.world.answers.get(self.name, {"containerimage.digest": f"sha256:{self.name}"})
            if isinstance(answer, list):
                answer = answer.pop(0)
            if callable(answer):
                answer = answer(request)
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
        self.world, self.node, self.pod = world, node, ""

    @property
    def version(self) -> str | None:
        return self.world.remembered.get(self.node.name)

    def note_version(self, version: str) -> None:
        self.world.remembered[self.node.name] = version

    async def admit(self, control: Any, ref: str) -> bool:
        return True

    async def leave(self) -> None:
        return None

    async def open(self, key: str, deadline: float, avoid: Sequence[str] = (), *, full: bool = False) -> FakeControl:
        self.world.keys.append(key)
        if self.node.name in self.world.unreachable:
            raise UnreachableError(f"no way to {self.node.name}")
        await asyncio.sleep(0.01)
        return FakeControl(self.world, self.node.name)


class Prepared:
    attrs: Mapping[str, str] = {"filename": "Dockerfile"}
    frontend_inputs: Mapping[str, bytes] = {}
    shared_key = "app"
    stores: Mapping[str, Store] = {}
    cache_from: Sequence[CacheEntry] = ()
    skipped: Sequence[str] = ()
    dockerfile_url = ""

    def put_dockerfile(self, data: bytes) -> None:
        """Never called without a URL."""

    def services(self) -> Sequence[Service]:
        return ({"/inputs": _serve},)


async def _serve(call: Call) -> None:
    """A handler that is never called."""


class FakeStep:
    """A commit step that may fail in a phase, or never end it."""

    def __init__(self, world: World, name: str = "") -> None:
        self.world, self.name = world, f" {name}" if name else ""
        self.failing = self.finality = ""

    def services(self, node: int) -> Sequence[Service]:
        return ({f"/results{self.name}/{node}": _serve},)

    def stores(self, node: int) -> Mapping[str, Store]:
        return {}

    def final(self) -> str:
        return self.finality

    def restart(self, node: int) -> None:
        self.world.log.append(f"restart{self.name} {node}")

    async def stage(self, results: Sequence[NodeResult]) -> None:
        await self._do("stage")

    async def commit(self) -> None:
        await self._do("commit")

    async def _do(self, phase: str) -> None:
        if self.failing == phase:
            raise BuildFailed(f"{phase} failed")
        self.world.log.append(phase + self.name)

    def abort(self) -> None:
        self.world.log.append("abort" + self.name)


class World:
    """Everything around a build; fulfils `Tools`."""

    def __init__(self, **nodes: tuple[Platform, ...]) -> None:
        self.output = BuilderOutput("kube", "ns", tuple(NodeOutput(n, "ns", p) for n, p in nodes.items()))
        self.log: list[str] = []
        self.keys: list[str] = []
        self.records: list[str] = []
        self.solves: dict[str, SolveRequest] = {}
        self.works: dict[str, GatewayWork | None] = {}
        self.answers: dict[str, Any] = {}
        self.reported: dict[str, tuple[Platform, ...]] = {}
        self.versions: dict[str, str] = {}
        self.remembered: dict[str, str] = {}
        """Versions of which a later build knows; nothing, unless a test lets it."""
        self.asked: list[str] = []
        """Of whom versions and platforms were asked."""
        self.unreachable: set[str] = set()
        self.wrong_context: Exception | None = None
        self.merge_error: Exception | None = None
        self.soon = 0
        """How often the merge was announced."""
        self.events: list[Event] = []
        self.steps = [FakeStep(self)]
        self.extra: list[Service] = []
        self.served: dict[str, list[str]] = {}

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

    def commit_steps(self, request: BuildRequest, nodes: int) -> Sequence[FakeStep]:
        return self.steps

    def services(self, request: BuildRequest) -> Sequence[Service]:
        return ({"/credentials": _serve}, *self.extra)

    def merge_soon(self, request: BuildRequest) -> None:
        self.soon += 1

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        self.log.append("merge " + " ".join(response["containerimage.digest"] for response in responses))
        if self.merge_error:
            raise self.merge_error
        return "sha256:merged"

    async def build(self, **fields: Any) -> Any:
        """Builds in this world."""
        deadline = asyncio.get_running_loop().time() + 5
        fields["tags"] = parse_tags(fields.get("tags", ()))
        request = BuildRequest(**fields)
        delays, rules = (0.0, 0.0), Retries(first_pause=0.01, reach=0.5)
        return await build(
            self.output, request, self, self.events.append, deadline, push_retry_delays=delays, rules=rules
        )


async def test_one_node_pushes_its_tags_itself() -> None:
    """A build on one node is pushed under its tags by the daemon; nothing is merged here."""
    world = World(a=(AMD,), b=(ARM,))
    result = await world.build(tags=("r/app:1",), platforms=(ARM,), outputs=PUSH)
    assert result.digest == "sha256:b"
    assert world.solves["b"].exporters[0].attrs["name"] == "r/app:1"
    assert "push-by-digest" not in world.solves["b"].exporters[0].attrs
    assert world.log == ["prepared", "stage", "commit", "abort", "closed b", "cleaned"]


RACED = "failed to solve: failed to push r/app: errors:\nunknown: blob unknown to registry - sha256:b"


async def test_a_push_that_another_nodes_push_spoilt_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    """Two nodes push one layer at once; the one that the registry refused for it pushes again, as a new solve."""
    caplog.set_level("DEBUG", "buildclient")
    world = World(a=(AMD,), b=(ARM,))
    done = {"containerimage.digest": "sha256:b"}
    world.answers["b"] = [BuildFailed(RACED), done]
    result = await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert result.digest == "sha256:merged"
    assert "merge sha256:a sha256:b" in world.log
    assert len({solve.ref for solve in world.solves.values()}) == 2
    assert "blob unknown to registry" in caplog.text


@pytest.mark.parametrize(
    ("message", "outputs"),
    [(RACED, PUSH), ("failed to push r/app: denied", PUSH), (RACED, (*PUSH, Output("local", dest=ToFolder("x"))))],
    ids=["again and again", "another reason", "another output"],
)
async def test_a_push_that_fails_for_good_fails_the_build(message: str, outputs: tuple[Output, ...]) -> None:
    """What is no race, or comes back, is told; a build whose results come back is not run twice."""
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


async def test_a_merge_is_made_ready_for_while_the_nodes_export() -> None:
    """Once, when the first of them does; where nothing is merged, never."""
    for nodes, outputs, announced in (("ab", PUSH, 1), ("a", PUSH, 0), ("ab", (), 0)):
        world = World(
            **{name: platform for name, platform in zip("ab", ((AMD,), (ARM,)), strict=True) if name in nodes}
        )
        platforms = (AMD, ARM) if nodes == "ab" else (AMD,)
        await world.build(tags=("r/app:1",), platforms=platforms, outputs=outputs)
        assert world.soon == announced


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
    await until(lambda: len(world.solves) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, busy(1))
    assert set(world.log) >= {"cancelled a", "cancelled b", "abort", "closed a", "closed b", "cleaned"}


async def test_every_part_of_a_build_hands_out_its_session_services() -> None:
    """A service more needs one place: where it is handed out; each node's session serves its own results."""
    world = World(a=(AMD,), b=(ARM,))
    world.extra = [{"/extra": _serve}]
    await world.build(platforms=(AMD, ARM))
    assert world.served == {
        name: ["/credentials", "/extra", "/inputs", f"/results/{number}"] for number, name in enumerate(("a", "b"))
    }


async def test_steps_are_staged_and_committed_in_order_and_aborted_in_reverse() -> None:
    """Every step is staged before the tags are put, which come before the first file."""
    world = World(a=(AMD,), b=(ARM,))
    world.steps = [FakeStep(world, "exports"), FakeStep(world, "cache")]
    await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert [line for line in world.log if line.startswith(("stage", "commit", "merge", "abort"))] == [
        "stage exports",
        "stage cache",
        "merge sha256:a sha256:b",
        "commit exports",
        "commit cache",
        "abort cache",
        "abort exports",
    ]


@pytest.mark.parametrize("phase", ["stage", "commit"])
async def test_a_step_that_fails_aborts_the_others(phase: str) -> None:
    """Where it cannot be staged, there is no tag and no file of any step."""
    world = World(a=(AMD,), b=(ARM,))
    world.steps = [FakeStep(world, "exports"), FakeStep(world, "cache")]
    world.steps[1].failing = phase
    with pytest.raises(BuildFailed, match=f"{phase} failed"):
        await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert world.log.index("abort cache") < world.log.index("abort exports")
    if phase == "stage":
        assert not any(line.startswith(("merge", "commit")) for line in world.log)


@pytest.mark.parametrize(
    ("nodes", "outputs", "asked"),
    [
        ({"a": (AMD,)}, PUSH, ["a"]),
        ({"a": (AMD,), "b": (ARM,)}, (Output("local", {}, ToFolder("x")),), ["a", "b"]),
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


async def test_a_daemon_that_goes_after_the_solve_costs_the_provenance_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build succeeds, and a line says what is missing."""

    async def gone(self: FakeControl, ref: str, deadline: float) -> Mapping[str, Provenance]:
        raise UnreachableError("cannot reach BuildKit in pod a")

    monkeypatch.setattr(FakeControl, "provenance", gone)
    world = World(a=(AMD,))
    result = await world.build(tags=("r/a:1",), platforms=(AMD,), outputs=PUSH, metadata_provenance="min")
    assert "buildx.build.provenance" not in result.metadata
    assert any("the metadata has no provenance: cannot reach" in getattr(one, "name", "") for one in world.events)


async def test_a_failed_merge_is_a_failed_step() -> None:
    """A registry that refuses the index fails the build, and its step in the progress."""
    world = World(a=(AMD,), b=(ARM,))
    world.merge_error = BuildFailed("the registry said no")
    with pytest.raises(BuildFailed, match="said no"):
        await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    last = [event for event in world.events if isinstance(event, Vertex)][-1]
    assert (last.name, last.error) == ("merging manifest list r/app:1", "the registry said no")
    assert "commit" not in world.log


async def test_the_merge_names_the_image_of_an_output() -> None:
    """Without tags the names are those of `-o type=image,name=…,push=true`."""
    world = World(a=(AMD,), b=(ARM,))
    pushed = (Output("image", {"push": "true", "name": "r/app:1,r/app:2"}),)
    await world.build(platforms=(AMD, ARM), outputs=pushed)
    assert "merging manifest list r/app:1,r/app:2" in [
        event.name for event in world.events if isinstance(event, Vertex)
    ]


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


async def test_a_platform_that_no_node_lists_goes_to_the_first() -> None:
    """Whose daemon may build it all the same, and says so itself where it cannot."""
    world = World(a=(AMD,), b=(ARM,))
    world.reported = {"a": (AMD,), "b": (ARM,)}
    await world.build(platforms=(ARM, S390))
    assert world.solves["a"].frontend_attrs["platform"] == "linux/s390x"
    assert world.solves["b"].frontend_attrs["platform"] == "linux/arm64"


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


@pytest.mark.parametrize("answers", [1, 9])
async def test_two_nodes_that_are_one_daemon_get_an_id_each(answers: int) -> None:
    """The second solve finds its id taken and takes another; once, for a daemon that says so of every id."""
    world = World(a=(AMD,), b=(ARM,))

    def taken(request: SolveRequest) -> BuildFailed:
        return BuildFailed(f"failed to solve: job ID {request.ref} exists")

    world.answers["b"] = [*[taken] * answers, {"containerimage.digest": "sha256:b"}]
    building = world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    if answers > 1:
        with pytest.raises(BuildFailed, match="job ID"):
            await building
        assert len(world.answers["b"]) == answers + 1 - 2
    else:
        assert (await building).digest == "sha256:merged"
        assert len({solve.ref for solve in world.solves.values()}) == 2


async def test_all_pushes_of_several_nodes_are_one_and_the_last_output() -> None:
    """Under the names of all; the answer that wins is the one of the image that is merged."""
    world = World(a=(AMD,), b=(ARM,))
    one, other = (Output("image", {"push": "true", "name": f"r/{name}:1"}) for name in "ab")
    folder = Output("local", {}, ToFolder("x"))
    await world.build(platforms=(AMD, ARM), outputs=(one, folder, other))
    for solve in world.solves.values():
        assert [(exporter.type, exporter.attrs.get("name")) for exporter in solve.exporters] == [
            ("local", None),
            ("image", "docker.io/r/a,docker.io/r/b"),
        ]
    assert "merging manifest list r/a:1,r/b:1" in [event.name for event in world.events if isinstance(event, Vertex)]
    squeezed = other._replace(attrs={**other.attrs, "compression": "zstd"})
    with pytest.raises(UsageError, match="several nodes cannot push images with different attributes"):
        await world.build(platforms=(AMD, ARM), outputs=(one, squeezed))
    await world.build(platforms=(AMD,), outputs=(one, squeezed))


async def test_a_node_gets_no_annotations_of_platforms_that_it_does_not_build() -> None:
    """It would refuse them; those of a platform that nobody builds go to every node, for its refusal."""
    world = World(a=(AMD, S390), b=(ARM,))
    keys = [
        f"annotation-manifest[{platform}].k" for platform in ("linux/amd64", "linux/s390x", "linux/arm64", "linux/386")
    ]
    attrs = {**dict.fromkeys(keys, "1"), "annotation-index.k": "1"}
    await world.build(platforms=(AMD, S390, ARM), outputs=(Output("oci", attrs, ToFile("x")),))
    found = {name: set(solve.exporters[0].attrs) for name, solve in world.solves.items()}
    assert found == {
        "a": {keys[0], keys[1], keys[3], "annotation-index.k"},
        "b": {keys[2], keys[3], "annotation-index.k"},
    }


async def test_a_daemon_that_is_too_old_is_told_before_any_solve() -> None:
    """Though another node could do it."""
    world = World(a=(AMD,), b=(ARM,))
    world.versions = {"a": "v0.34.2", "b": "v0.29.0"}
    output = Output("local", {"mode": "delete"}, ToFolder("x"))
    refused = r"the builder's BuildKit v0\.29\.0 has no mode=delete of outputs: needs v0\.31 or newer \(node b\)"
    with pytest.raises(UsageError, match=refused):
        await world.build(platforms=(AMD, ARM), outputs=(output,))
    assert world.solves == {}
    assert "commit" not in world.log
    world.versions["b"], world.remembered = "v0.31.0", {}
    await world.build(platforms=(AMD, ARM), outputs=(output,))
    assert set(world.solves) == {"a", "b"}


async def test_no_daemon_is_asked_for_a_version_that_does_not_matter() -> None:
    """A round trip is as long as a cached build's solve."""
    world = World(a=(AMD,), b=(ARM,))
    await world.build(platforms=(AMD,), outputs=PUSH, tags=parse_tags(["r/a:1"]))
    await world.build(platforms=(AMD, ARM), outputs=(Output("local", {}, ToFolder("x")),))
    assert world.asked == []


async def test_nodes_of_several_versions_push_one_kind_of_image() -> None:
    """What an output says itself is left alone."""
    world = World(a=(AMD,), b=(ARM,))
    world.versions = {"a": "v0.29.0"}
    await world.build(platforms=(AMD, ARM), outputs=PUSH, tags=parse_tags(["r/a:1"]))
    assert sorted(world.asked) == ["a", "b"]
    for solve in world.solves.values():
        assert solve.exporters[0].attrs["oci-mediatypes"] == "true"
        assert solve.exporters[0].attrs["oci-artifact"] == "false"
    own = Output("image", {"push": "true", "oci-artifact": "true", "oci-mediatypes": "true"})
    await world.build(platforms=(AMD, ARM), outputs=(own,), tags=parse_tags(["r/a:1"]))
    assert world.solves["a"].exporters[0].attrs["oci-artifact"] == "true"


async def test_a_version_that_is_remembered_is_not_asked_for() -> None:
    """It counts as the daemon's own word does, in a merged image and of a daemon that is too old."""
    world = World(a=(AMD,), b=(ARM,))
    world.versions = {"a": "v0.29.0"}
    await world.build(platforms=(AMD, ARM), outputs=PUSH, tags=parse_tags(["r/a:1"]))
    assert world.remembered == {"a": "v0.29.0", "b": "v0.34.2"}
    world.asked.clear()
    world.remembered = {"a": "v0.29.0"}
    await world.build(platforms=(AMD, ARM), outputs=PUSH, tags=parse_tags(["r/a:1"]))
    assert world.asked == ["b"]
    await world.build(platforms=(AMD, ARM), outputs=PUSH, tags=parse_tags(["r/a:1"]))
    assert world.asked == ["b"]
    assert world.solves["b"].exporters[0].attrs["oci-artifact"] == "false"
    with pytest.raises(UsageError, match=r"v0\.29\.0 has no mode=delete"):
        await world.build(platforms=(AMD,), outputs=(Output("local", {"mode": "delete"}, ToFolder("x")),))
    assert world.asked == ["b"]


LOST = DaemonLost("lost the connection to pod a: EOF")


async def test_only_the_part_whose_daemon_was_lost_is_built_again() -> None:
    """The other node goes on; the result of the first try is forgotten, and the tag is put once."""
    world = World(a=(AMD,), b=(ARM,))
    done = {"containerimage.digest": "sha256:a"}
    world.answers["a"] = [LOST, done]
    result = await world.build(tags=("r/app:1",), platforms=(AMD, ARM), outputs=PUSH)
    assert result.digest == "sha256:merged"
    assert [line for line in world.log if line.startswith(("restart", "merge", "cancelled"))] == [
        "restart 0",
        "merge sha256:a sha256:b",
    ]
    assert [[retry.error for retry in node.retries] for node in result.nodes] == [[LOST.message], []]
    assert any(isinstance(event, Vertex) and event.name == "[internal] a: try 2 of 3" for event in world.events)


@pytest.mark.parametrize(
    ("retries", "final", "tries", "said"),
    [(2, "", 3, "given up after 3 tries"), (0, "", 1, "EOF$"), (2, "it is out", 1, "not taken up again: it is out")],
)
async def test_tries_end(retries: int, final: str, tries: int, said: str) -> None:
    """After as many as asked for, and at once where part of the result cannot be taken back."""
    world = World(a=(AMD,))
    world.steps[0].finality = final
    world.answers["a"] = answers = [LOST] * 5
    lost = DaemonLost(LOST.message)
    answers[:] = [DaemonLost(lost.message) for _ in range(5)]
    with pytest.raises(DaemonLost, match=said):
        await world.build(outputs=PUSH, tags=("r/app:1",), retries=retries)
    assert 5 - len(answers) == tries
    assert "commit" not in world.log


async def test_what_the_daemon_says_of_the_build_is_its_result() -> None:
    """A failed step is never built again."""
    world = World(a=(AMD,))
    world.answers["a"] = answers = [BuildFailed("exit code: 1")] * 2
    with pytest.raises(BuildFailed, match="exit code: 1"):
        await world.build()
    assert len(answers) == 1
