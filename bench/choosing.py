"""Simulates the choice of pods and the queue at a size that no test cluster has; no cluster is needed.

    python -m bench.choosing [--pods 1000] [--builds 100000] [--seed 1] [--plot docs/choosing-pods.svg]

The decisions are the client's own functions (`buildclient.nodes.choice`). The rest is a model: builds arrive by chance
(Poisson), their projects are skewed (Zipf), a pod keeps the caches of its last projects, a build that finds its cache
is quicker, and pods are replaced all the time. What is printed holds for the model, not for any cluster.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import statistics
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.plot import bars
from bench.report import table
from buildclient.kube.pod import Pod
from buildclient.nodes.choice import ASKED, by_load, ranked, window

__all__ = ["POLICIES", "Model", "Policy", "Result", "simulate"]


class Model(NamedTuple):
    """The builder and its users. Times are in seconds."""

    pods: int = 1000
    builds: int = 100_000
    projects: int = 5000
    skew: float = 1.0
    """The exponent of Zipf's law by which builds fall on projects."""
    use: float = 1.0
    """How many builds a pod runs on average."""
    cold: float = 180.0
    """How long a build lasts on average without its cache, and with it."""
    warm: float = 45.0
    caches: int = 40
    """How many projects' caches a pod keeps."""
    replaced: float = 0.5
    """Which part of the pods is replaced, one after the other, while all builds run."""
    away: float = 60.0
    """How long a pod that is replaced takes no build."""
    stale: float = 0.3
    """From the moment when a client asks for a load until its build runs there."""


class Policy(NamedTuple):
    """How a client chooses, and what becomes of a pod's cache and name when it is replaced."""

    name: str
    loadbalance: str
    limit: int = 0
    keeps: bool = False
    """Whether names and caches outlive a pod: a StatefulSet with volumes."""


POLICIES = (
    Policy("random", "random"),
    Policy("sticky, as docker buildx", "sticky"),
    Policy("sticky", "sticky", keeps=True),
    Policy("sticky, at most 3", "sticky", 3, keeps=True),
    Policy("sticky, at most 6", "sticky", 6, keeps=True),
    Policy("least-loaded", "least-loaded", keeps=True),
    Policy("least-loaded, at most 3", "least-loaded", 3, keeps=True),
)


_RANKED = 200
"""Of so many pods of a project's order the simulation keeps the rank: it is never asked for more."""
_LOOK = 0.5
"""Seconds between two looks of the first in the queue."""


class Result(NamedTuple):
    """What a policy led to."""

    policy: Policy
    peak: float
    """The busiest pod's builds to the mean over the pods, at the 99th percentile of all moments."""
    most: int
    """The most builds that a pod ran at once."""
    hits: float
    """The part of the builds that found their cache."""
    waited: float
    """The part of the builds that waited in the queue, and how long those did: the median, and the longest."""
    median_wait: float
    longest_wait: float
    lasted: float
    """The mean of a build, its wait included."""
    overtaken: int
    """By how many places, at most, a build was served before others that had come to the queue first."""


class _Orders:
    """The pods in the order in which they are asked, sorted once for each project and set of pods."""

    def __init__(self, policy: Policy, names: Sequence[str], chance: random.Random) -> None:
        self._policy, self._chance = policy, chance
        self._known: dict[str, tuple[int, list[Pod]]] = {}
        self._version = 0
        self._pods = list(map(_pod, names))

    def rename(self, old: str, new: str) -> None:
        """A pod came back under another name."""
        self._pods = [_pod(new) if pod.name == old else pod for pod in self._pods]
        self._version += 1

    def first(self, key: str, up: set[str]) -> list[Pod]:
        """The pods that are there, the best first; of a random order as many as a client asks."""
        if self._policy.loadbalance != "sticky":
            return [pod for pod in self._chance.sample(self._pods, min(16, len(self._pods))) if pod.name in up]
        version, order = self._known.get(key, (-1, []))
        if version != self._version:
            order = ranked(self._pods, "sticky", key)
            self._known[key] = (self._version, order)
        return [pod for pod in order[:_RANKED] if pod.name in up]

    def shuffled(self, pods: Sequence[Pod]) -> Sequence[Pod]:
        """Pods by chance."""
        return self._chance.sample(pods, len(pods))


def _pod(name: str) -> Pod:
    return Pod(name, "", ready=True, terminating=False)


class _World:
    """The state of a simulation."""

    def __init__(self, model: Model, policy: Policy, seed: int) -> None:
        self.model, self.policy, self.chance = model, policy, random.Random(seed)
        self.names = [f"builder-{number}" for number in range(model.pods)]
        self.up = set(self.names)
        self.running: Counter[str] = Counter()
        self.caches: dict[str, OrderedDict[str, None]] = {name: OrderedDict() for name in self.names}
        self.orders = _Orders(policy, self.names, self.chance)
        self.looking = False
        self.queue: deque[tuple[int, float, str]] = deque()
        self.events: list[tuple[float, int, str, str]] = []
        self.numbers = itertools.count()
        self.hits = 0
        self.waits: list[float] = []
        self.lasted: list[float] = []
        self.peaks: list[float] = []
        self.most = 0
        self.overtaken = 0

    def later(self, moment: float, what: str, who: str) -> None:
        """Something that happens at a moment."""
        heapq.heappush(self.events, (moment, next(self.numbers), what, who))

    def choose(self, key: str, looks: int = 0) -> str:
        """The pod for a build, after so many looks in vain; empty if those it asks are full."""
        limit, sticky = self.policy.limit, self.policy.loadbalance == "sticky"
        order = self.orders.first(key, self.up)
        if not limit:
            asked = order[: ASKED if self.policy.loadbalance == "least-loaded" else 1]
        else:
            asked = window(order, looks, self.orders.shuffled)
        fitting = by_load(asked, {pod.name: self.running[pod.name] for pod in asked}, limit)
        if sticky:
            fitting = [pod for pod in asked if pod in fitting]
        return fitting[0].name if fitting else ""

    def start(self, now: float, came: float, key: str, pod: str) -> None:
        """A build begins."""
        cache = self.caches[pod]
        hit = key in cache
        cache[key] = None
        cache.move_to_end(key)
        if len(cache) > self.model.caches:
            cache.popitem(last=False)
        self.hits += hit
        self.running[pod] += 1
        self.most = max(self.most, self.running[pod])
        length = self.chance.lognormvariate(0, 0.5) / 1.133 * (self.model.warm if hit else self.model.cold)
        self.lasted.append(now - came + length)
        self.later(now + length, "end", pod)

    def serve(self, now: float) -> None:
        """Those who wait, in their order, as long as the first finds room."""
        while self.queue:
            number, came, key = self.queue[0]
            pod = self.choose(key, 1)
            if not pod:
                # It looks again a moment later, and those behind it wait.
                if not self.looking:
                    self.looking = True
                    self.later(now + _LOOK, "look", "")
                return
            self.queue.popleft()
            self.overtaken = max([self.overtaken, *(1 for one in itertools.islice(self.queue, 8) if one[0] < number)])
            self.waits.append(now - came)
            self.start(now, came, key, pod)

    def replace(self, name: str) -> str:
        """A pod is back after its replacement; returns its name."""
        if self.policy.keeps:
            self.up.add(name)
            return name
        new = f"{name.rsplit('~', 1)[0]}~{next(self.numbers)}"
        self.names[self.names.index(name)] = new
        self.caches[new] = OrderedDict()
        self.up.add(new)
        self.orders.rename(name, new)
        return new


def simulate(model: Model, policy: Policy, seed: int = 1) -> Result:
    """Runs all builds of the model by one policy."""
    world = _World(model, policy, seed)
    weights = list(itertools.accumulate(1 / rank**model.skew for rank in range(1, model.projects + 1)))
    keys = [f"project-{number}" for number in range(model.projects)]
    gap = model.warm * 1.5 / (model.use * model.pods)
    came = 0.0
    for key in world.chance.choices(keys, cum_weights=weights, k=model.builds):
        came += world.chance.expovariate(1 / gap)
        world.later(came, "come", key)
    gone = round(model.replaced * model.pods)
    for number in range(gone):
        world.later(came * (number + 0.5) / max(1, gone), "go", str(number % model.pods))
    sampled = 0
    while world.events:
        now, _, what, who = heapq.heappop(world.events)
        if what == "come":
            pod = "" if world.queue else world.choose(who)
            if pod:
                world.later(now + model.stale, "begin", f"{pod} {who}")
            else:
                world.queue.append((next(world.numbers), now, who))
                world.serve(now)
            sampled += 1
            if sampled % max(1, model.builds // 1000) == 0 and 0.1 * came < now < came:
                mean = sum(world.running.values()) / model.pods
                world.peaks.append(max(world.running.values(), default=0) / mean if mean else 0.0)
        elif what == "begin":
            pod, key = who.split(" ", 1)
            if pod not in world.up or (policy.limit and world.running[pod] >= policy.limit):
                # The daemon has begun as many builds of others meanwhile: the build looks again.
                pod = world.choose(key)
            if pod:
                world.start(now, now - model.stale, key, pod)
            else:
                world.queue.append((next(world.numbers), now, key))
                world.serve(now)
        elif what == "look":
            world.looking = False
            world.serve(now)
        elif what == "end":
            world.running[who] -= 1
            world.serve(now)
        elif what == "go":
            name = world.names[int(who)]
            world.up.discard(name)
            world.later(now + model.away, "back", name)
        else:
            world.replace(who)
            world.serve(now)
    waits = sorted(world.waits)
    return Result(
        policy,
        statistics.quantiles(world.peaks, n=100)[98] if len(world.peaks) > 1 else 0.0,
        world.most,
        world.hits / model.builds,
        len(waits) / model.builds,
        statistics.median(waits) if waits else 0.0,
        waits[-1] if waits else 0.0,
        statistics.fmean(world.lasted),
        world.overtaken,
    )


def main() -> None:
    """Prints the table, and writes the plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.choosing", description="Simulates the choice of pods.")
    parser.add_argument("--pods", type=int, default=Model().pods)
    parser.add_argument("--builds", type=int, default=Model().builds)
    parser.add_argument("--use", type=float, default=Model().use, help="builds a pod runs on average")
    parser.add_argument("--skew", type=float, default=Model().skew)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    given = parser.parse_args()
    model = Model(given.pods, given.builds, use=given.use, skew=given.skew)
    results = []
    for policy in POLICIES:
        begun = time.monotonic()
        results.append(simulate(model, policy, given.seed))
        print(f"  {policy.name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(table(_HEAD, map(_row, results)))
    if given.plot:
        given.plot.write_text(_plot(results))


_HEAD = ("policy", "busiest to mean", "most at once", "cache found", "waited", "median, longest wait", "a build, mean")


def _row(one: Result) -> list[str]:
    return [
        one.policy.name,
        f"{one.peak:.1f}",
        str(one.most),
        f"{one.hits:.0%}",
        f"{one.waited:.1%}",
        f"{one.median_wait:.0f} s, {one.longest_wait:.0f} s",
        f"{one.lasted:.0f} s",
    ]


def _plot(results: Sequence[Result]) -> str:
    names = [one.policy.name for one in results]
    return bars(
        names,
        {
            "most builds of one pod at once": [float(one.most) for one in results],
            "builds that found their cache (%)": [100 * one.hits for one in results],
            "mean of a build, wait included (s)": [one.lasted for one in results],
        },
    )


if __name__ == "__main__":
    main()
