"""Limits of pods, the queue of a full node, and the least loaded pod, with clients that know nothing of one another."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildclient.kube.lease import read_lease
from tests.cluster.client_builder import BIN, HandMadeBuilder, Ran, hand_made
from tests.cluster.held import held, release
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_STEP = "FROM BASE\nARG key\nRUN echo begun $key; {}\n"
_PODS = 3


@pytest.fixture(scope="module")
def builder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMadeBuilder]:
    """Two nodes, three pods on the first."""
    with hand_made(cluster, tmp_path_factory.mktemp("choosing"), "choosing") as made:
        made.kubectl("scale", "deploy/builder-amd64", f"--replicas={_PODS}")
        made.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=120s", timeout=130)
        yield made


class _Build:
    """One `buildclient build` of a step that takes so many seconds, or goes on until `go_on`."""

    def __init__(
        self, builder: HandMadeBuilder, key: str, seconds: float | None, kubeconfig: str = "", **node: Any
    ) -> None:
        output = json.loads(builder.output.dumps())
        output["nodes"] = [{**output["nodes"][0], **node}]
        self._begun = f" begun {key}\n"
        self._mark = f"{key}-{uuid.uuid4().hex[:6]}"
        step = held(self._mark) if seconds is None else f"sleep {seconds}"
        folder = builder.context(self._mark, _STEP.format(step))
        self._log, file = Path(folder, "log"), Path(f"{folder}.json")
        file.write_text(json.dumps(output))
        command = ["build", "--no-cache", "--progress=plain", "--routing-key", key, "--build-arg", f"key={key}"]
        access = {"KUBECONFIG": kubeconfig} if kubeconfig else {}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(BIN / "buildclient"), *command, folder],
                env={**builder.environment, "BUILDCLIENT_BUILDER": str(file), **access}, stderr=log, stdout=log,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def await_line(self, text: str, seconds: float = 30) -> float:
        """Waits for a text in what it prints, `seconds` on a quiet machine at most; returns the moment."""
        end = time.monotonic() + busy(seconds)
        while True:
            ended = self.process.poll() is not None
            if text in self.said:
                return time.monotonic()
            assert not ended, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def await_step(self, seconds: float = 30) -> float:
        """Waits until its step runs; returns the moment."""
        return self.await_line(self._begun, seconds)

    def go_on(self) -> None:
        """Ends its step, which runs."""
        release(self._mark)

    def ended(self, seconds: float = 60) -> None:
        """Waits until it has ended well, `seconds` on a quiet machine at most."""
        assert self.process.wait(busy(seconds)) == 0, self.said


@contextlib.contextmanager
def _builds(
    builder: HandMadeBuilder,
    keys: list[str],
    seconds: float | None,
    *,
    gap: float = 0.0,
    until: str = "",
    **node: Any,
) -> Iterator[list[_Build]]:
    """A build for each key, whose step takes seconds; each begins `gap` seconds after the last has said `until`.

    Without seconds, after the last one's step has begun, which goes on until `go_on`.
    """
    builds: list[_Build] = []
    try:
        for key in keys:
            builds.append(_Build(builder, key, seconds, **node))
            if seconds is None:
                builds[-1].await_step()
            else:
                builds[-1].await_line(until)
            time.sleep(gap)
        yield builds
    finally:
        for one in builds:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()


def _records(builder: HandMadeBuilder) -> list[tuple[str, float, float, str]]:
    """Pod, begin, end and status of each build that the first node's pods have records of."""
    done = builder.run("history", "ls", "--json", "--node=builder-amd64", "--no-trunc")
    found = [json.loads(line) for line in done.out.splitlines()]
    return [(one["pod"], _seconds(one["created_at"]), _seconds(one["completed_at"]), one["status"]) for one in found]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _tickets(builder: HandMadeBuilder) -> list[str]:
    return builder.kubectl("get", "leases", "-o", "name").split()


def _arrivals(builder: HandMadeBuilder) -> dict[int, int]:
    """The number of each waiting process's ticket."""
    leases = json.loads(builder.kubectl("get", "leases", "-o", "json"))["items"]
    tickets = [ticket for ticket in map(read_lease, leases) if ticket]
    return {int(ticket.holder.rpartition(" ")[2]): ticket.number for ticket in tickets}


def test_a_queue_is_served_in_the_order_of_arrival(builder: HandMadeBuilder) -> None:
    """With a limit of one, no pod runs two builds; the place is shown, ^C and SIGKILL give it up, nothing is left."""
    holders = [f"held-{number}" for number in range(_PODS)]
    keys = [f"k{number}" for number in range(5)]
    with (
        _builds(builder, holders, None, maxParallelBuilds=1) as holding,
        _builds(builder, keys, 3, until="every pod is at its limit of 1; place ", maxParallelBuilds=1) as waiting,
    ):
        waiting[1].process.send_signal(signal.SIGINT)
        waiting[2].process.kill()
        assert waiting[1].process.wait(busy(5)) == 130
        assert "waiting for a free pod of builder-amd64" in waiting[3].said
        for one in holding:
            one.go_on()
        order = [waiting[0], *waiting[3:]]
        begun = []
        for one in order:
            begun.append(one.await_step(60))
        for one in [*holding, *order]:
            one.ended()
        records = _records(builder)
        assert len(records) == len(holding) + len(order)
        for name, start, end, _ in records:
            others = [one for one in records if one[0] == name and one[1] < start]
            assert all(one[2] <= start + busy(0.2) for one in others), (name, start, end)
        assert [round(b - a, 1) for a, b in pairwise(begun) if b < a - 1.5] == []
    end = time.monotonic() + busy(5)
    while left := _tickets(builder):
        assert time.monotonic() < end, left
        time.sleep(0.2)


def test_a_full_pod_passes_its_build_to_the_next_of_the_same_order(builder: HandMadeBuilder) -> None:
    """Three builds of one key with a limit of two run on two pods, and the third one without a wait in the queue."""
    before = len(_records(builder))
    with _builds(builder, ["same"] * 3, None, maxParallelBuilds=2) as builds:
        for one in builds:
            one.go_on()
        for one in builds:
            one.ended()
        assert not any("waiting for a free pod" in one.said for one in builds)
    new = sorted(_records(builder), key=lambda record: record[1])[before:]
    assert sorted(Counter(name for name, *_ in new).values()) == [1, 2]
    assert new[0][0] == new[1][0]


def test_the_least_loaded_pod_takes_the_build(builder: HandMadeBuilder) -> None:
    """Six builds one after the other: each of three pods gets two, whatever their key."""
    before = len(_records(builder))
    with _builds(builder, ["same"] * 6, None, loadbalance="least-loaded") as builds:
        for one in builds:
            one.go_on()
        for one in builds:
            one.ended()
    new = sorted(_records(builder), key=lambda record: record[1])[before:]
    assert sorted(Counter(name for name, *_ in new).values()) == [2, 2, 2]


def test_a_client_without_the_right_to_queue_is_told_and_served(builder: HandMadeBuilder, tmp_path: Path) -> None:
    """It looks for room now and then."""
    builder.kubectl("create", "serviceaccount", "poor")
    builder.kubectl("create", "role", "poor", "--verb=get,list,watch,create", "--resource=pods,pods/exec")
    builder.kubectl("create", "rolebinding", "poor", "--role=poor", f"--serviceaccount={builder.namespace}:poor")
    config = yaml.safe_load(Path(builder.environment["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = {"token": builder.kubectl("create", "token", "poor").strip()}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    with _builds(builder, ["first"] * _PODS, None, maxParallelBuilds=1) as holding:
        poor = _Build(builder, "poor", 0, kubeconfig=str(file), maxParallelBuilds=1)
        poor.await_line("every pod is at its limit of 1; without a queue: ")
        assert 'may not create "leases"' in poor.said or "leases" in poor.said
        for one in holding:
            one.go_on()
        poor.ended()


def test_a_pod_without_cache_falls_back_on_the_builder_s(builder: HandMadeBuilder) -> None:
    """What a build exported there is found again after every cache was pruned; a cache that is missing stops none."""
    kept = f"{builder.registry}/fallback-{builder.namespace}:main"
    context = builder.context("fallback", "FROM BASE\nRUN head -c 8 /dev/urandom | od -x >/made\n")
    line = ["build", "--progress=plain", "--platform=linux/amd64", context]

    def build(reference: str, *arguments: str) -> Ran:
        file = builder.folder / "fallback.json"
        nodes = tuple(node._replace(cache_fallback=reference) for node in builder.output.nodes)
        file.write_text(builder.output._replace(nodes=nodes).dumps())
        return builder.run(*line, *arguments, BUILDCLIENT_BUILDER=str(file))

    missing = build(f"{kept}-missing", "--cache-to", f"type=registry,ref={kept},mode=max")
    assert missing.status == 0, missing.err
    assert "fallback-" in missing.err.split("importing cache manifest from ")[1]
    assert builder.run("prune", "--all", "--force").status == 0
    found = build(kept)
    assert found.status == 0, found.err
    step = found.err.split("[2/2] RUN")[0].rsplit("#", 1)[1].split()[0]
    assert f"#{step} CACHED" in found.err


@pytest.fixture
def ten(builder: HandMadeBuilder) -> Iterator[HandMadeBuilder]:
    """Ten pods on the first node."""
    for replicas in (10, _PODS):
        builder.kubectl("scale", "deploy/builder-amd64", f"--replicas={replicas}")
        builder.kubectl("rollout", "status", "deployment/builder-amd64", "--timeout=180s", timeout=190)
        if replicas == 10:
            yield builder


def _busiest(records: list[tuple[str, float, float, str]]) -> int:
    """The most builds that a pod ran at once."""
    return max(sum(one[0] == pod and one[1] <= start < one[2] for one in records) for pod, start, _, _ in records)


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("node", "most"), [({"loadbalance": "least-loaded"}, 5), ({"maxParallelBuilds": 6}, 6)], ids=["least", "sticky"]
)
def test_forty_builds_at_once_spread_over_ten_pods(ten: HandMadeBuilder, node: dict[str, Any], most: int) -> None:
    """The busiest has at most 1.25 times the mean with least-loaded, 1.5 times with bounded sticky."""
    begun = time.time()
    with _builds(ten, [f"key-{number}" for number in range(40)], 100, **node) as builds:
        for one in builds:
            one.ended(300)
    records = [one for one in _records(ten) if one[1] > begun and one[3] == "Completed"]
    assert len(records) == 40
    together = max(sum(one[1] <= start < one[2] for one in records) for _, start, _, _ in records)
    print(f"{together} builds at once, the busiest pod {_busiest(records)}: {Counter(one[0] for one in records)}")
    assert together > 36
    assert _busiest(records) <= most


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_twenty_clients_are_served_in_order_though_three_are_killed(builder: HandMadeBuilder) -> None:
    """With a limit of two: nobody is overtaken by more than one, and the dead hold nobody up for more than 30 s."""
    lasts = 25.0
    with _builds(builder, [f"key-{number}" for number in range(20)], lasts, gap=0.7, maxParallelBuilds=2) as builds:
        waiting = builds[2 * _PODS :]
        for one in waiting[2:]:
            one.await_line("every pod is at its limit of 2; place ", 60)
        # A client arrives when it takes its ticket, which is a moment after its process has begun.
        arrived = _arrivals(builder)
        waiting.sort(key=lambda one: arrived.get(one.process.pid, 0))
        dead = waiting[4:7]
        for one in dead:
            one.process.kill()
        order = [one for one in waiting if one not in dead]
        with ThreadPoolExecutor(len(order)) as pool:
            begun = list(pool.map(lambda one: one.await_step(200), order))
        for one in order:
            one.ended()
    places = sorted(range(len(order)), key=lambda number: begun[number])
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(sorted(begun))]
    print(f"served in the order {places}; seconds between two: {gaps}")
    assert all(abs(place - number) <= 1 for place, number in enumerate(places))
    assert max(gaps) < lasts + 30
