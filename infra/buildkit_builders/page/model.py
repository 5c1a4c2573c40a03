"""What the page shows: builders as they were found and as they answered. Pure values.

Texts may come from anyone who may write a ConfigMap or build: `render` escapes them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildclient.contract.output import BuilderOutput
from buildkit_builders.about import CONTACT, EXPIRES, OWNER, TEAM

__all__ = [
    "Build",
    "BuilderView",
    "DriftView",
    "Found",
    "NodeFacts",
    "Owner",
    "PodFacts",
    "Seen",
    "Snapshot",
    "cached_share",
    "owner_of",
]

_TEAM_LABEL = "team"
"""The label of a team's objects, where no annotation names the team."""
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9.-]+")


class Owner(NamedTuple):
    """Whose builder it is, as its ConfigMap's annotations say; empty where they do not."""

    team: str = ""
    name: str = ""
    contact: str = ""
    """An address of mail, a URL or a channel."""
    expires: str = ""
    """The last day, as `2027-06-30`."""


def owner_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Owner:
    """The owner that an object's labels and annotations name."""
    return Owner(
        team=annotations.get(TEAM) or labels.get(_TEAM_LABEL, ""),
        name=annotations.get(OWNER, ""),
        contact=annotations.get(CONTACT, ""),
        expires=annotations.get(EXPIRES, ""),
    )


class Found(NamedTuple):
    """A builder that a source names."""

    output: BuilderOutput
    kube_context: str = ""
    """The kubeconfig context that leads to it; empty lets the output decide."""
    stack: str = ""
    """The stack of the Pulumi project that made it, if it is one of the project's."""
    project: str = ""
    """The folder of that project."""
    owner: Owner = Owner()
    trusted: bool = False
    """Whether the output is from the operator's own state. Anyone who may write ConfigMaps in a namespace can name any
    address and any pod in one."""

    @property
    def id(self) -> str:
        """Names its page: letters, digits, `.` and `-`, different for different builders."""
        told = f"{self.kube_context}\n{self.output.namespace}\n{self.output.name}"
        readable = _NOT_IN_A_NAME.sub("-", f"{self.output.namespace}-{self.output.name}".lower())[:80].strip(".-")
        return f"{readable}-{hashlib.sha256(told.encode(errors='surrogateescape')).hexdigest()[:8]}"


class PodFacts(NamedTuple):
    """A pod and its daemon."""

    name: str
    state: str
    """`ready`, `terminating`, or why it is not ready."""
    kubernetes_node: str = ""
    version: str = ""
    """BuildKit's."""
    builds: int | None = None
    """Running builds; None where the daemon did not say, as the following."""
    cache: int | None = None
    """Bytes of its build cache."""
    cache_since: float | None = None
    """When the oldest record of the cache was made, in seconds since the epoch."""
    error: str = ""

    @property
    def ready(self) -> bool:
        """Whether it takes builds."""
        return self.state == "ready"


class NodeFacts(NamedTuple):
    """A node of a builder."""

    name: str
    where: str
    """Its workload, as `Deployment buildkit/builder-amd64`, or its address."""
    platforms: tuple[str, ...] = ()
    """The declared ones, else those that its daemons report."""
    state: str = ""
    """`running`, `starting`, `at rest`, `inactive`, `error`; `not asked`."""
    wanted: str = ""
    """How many pods there are to be: `2`, `0-4`; empty for an address."""
    pods: tuple[PodFacts, ...] = ()
    error: str = ""
    limit: int = 0
    """How many builds a pod runs at once; 0 for any number, and then there is no queue."""
    queue: int | None = None
    """Builds that wait for a pod; None where no queue is kept, or it may not be read."""


class Build(NamedTuple):
    """A build that a daemon has recorded; one on several nodes is one record a node."""

    ref: str
    name: str
    """Of its context or repository; may be empty."""
    status: str
    """`Running`, `Completed`, `Canceled`, `Error`."""
    created: float
    """Seconds since the epoch, on the daemon's clock."""
    seconds: float
    steps: int
    cached: int
    node: str
    pod: str


class Seen(NamedTuple):
    """How a builder answered."""

    at: float
    """When, in seconds since the epoch."""
    nodes: tuple[NodeFacts, ...] = ()
    builds: tuple[Build, ...] = ()
    """Running ones first, then the latest."""
    problems: tuple[str, ...] = ()
    """Who could not be asked, and why."""


class DriftView(NamedTuple):
    """What differs between a stack and its cluster."""

    at: float
    """When that was found, in seconds since the epoch."""
    lines: tuple[str, ...] = ()
    error: str = ""
    """Why it could not be found out."""


class BuilderView(NamedTuple):
    """All that is known of a builder."""

    found: Found
    seen: Seen | None = None
    """The last answer; None before the first."""
    error: str = ""
    """Why the last question was not answered; `seen` is then older, or None."""
    drift: DriftView | None = None
    """None where nobody has looked, or there is no stack to look at."""

    @property
    def pods(self) -> tuple[PodFacts, ...]:
        """The pods of all nodes."""
        return tuple(pod for node in self.nodes for pod in node.pods)

    @property
    def nodes(self) -> tuple[NodeFacts, ...]:
        """The nodes as last seen."""
        return self.seen.nodes if self.seen else ()

    @property
    def state(self) -> str:
        """`running`, `at rest`, `starting`, `stopped`, `trouble`, `unreachable`, `not asked yet`."""
        if self.error:
            return "unreachable"
        if self.seen is None:
            return "not asked yet"
        states = {node.state for node in self.nodes}
        if "error" in states or any(pod.error for pod in self.pods):
            return "trouble"
        for state, told in (("starting", "starting"), ("running", "running"), ("at rest", "at rest")):
            if state in states:
                return told
        return "stopped" if "inactive" in states else "not asked"

    @property
    def drifted(self) -> bool:
        """Whether the cluster differs from the stack."""
        return bool(self.drift and self.drift.lines)

    @property
    def versions(self) -> tuple[str, ...]:
        """BuildKit's versions, each once."""
        return tuple(dict.fromkeys(pod.version for pod in self.pods if pod.version))

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms of all nodes, each once."""
        return tuple(dict.fromkeys(platform for node in self.nodes for platform in node.platforms))

    @property
    def cache(self) -> int | None:
        """Bytes of all build caches; None where no daemon said."""
        return _sum(pod.cache for pod in self.pods)

    @property
    def cache_since(self) -> float | None:
        """When the oldest record of the caches was made."""
        return min((pod.cache_since for pod in self.pods if pod.cache_since is not None), default=None)

    @property
    def running(self) -> int | None:
        """Running builds; None where no daemon said."""
        return _sum(pod.builds for pod in self.pods)

    @property
    def queue(self) -> int | None:
        """Builds that wait for a pod; None where no queue is known."""
        return _sum(node.queue for node in self.nodes)

    @property
    def last(self) -> Build | None:
        """The last build that has ended."""
        ended = [build for build in (self.seen.builds if self.seen else ()) if build.status != "Running"]
        return max(ended, key=lambda build: build.created, default=None)

    @property
    def text(self) -> str:
        """What a search looks at, in small letters."""
        found, output, owner = self.found, self.found.output, self.found.owner
        told = [
            output.name, output.namespace, f"{output.namespace}/{output.name}", found.kube_context, found.stack, *owner,
            self.state, "drifted" if self.drifted else "",
            *(node.name for node in output.nodes), *self.versions, *self.platforms,
            *(pod.kubernetes_node for pod in self.pods),
        ]  # fmt: skip
        return " ".join(dict.fromkeys(filter(None, told))).lower()

    def matches(self, query: str) -> bool:
        """Whether every word of a search is in its text."""
        text = self.text
        return all(word in text for word in query.lower().split())


class Snapshot(NamedTuple):
    """All builders at a moment."""

    builders: tuple[BuilderView, ...] = ()
    """In order of namespace and name."""
    problems: tuple[str, ...] = ()
    """Of sources that could not be read."""
    ready: bool = True
    """Whether every source has been asked once."""

    def search(self, query: str) -> tuple[BuilderView, ...]:
        """The builders that a search finds; all for an empty one."""
        return tuple(view for view in self.builders if view.matches(query))

    def by_id(self, builder_id: str) -> BuilderView | None:
        """The builder whose page it is."""
        return next((view for view in self.builders if view.found.id == builder_id), None)


def cached_share(builds: Iterable[Build]) -> float | None:
    """The share of steps that were cached, from 0 to 1; None of builds without steps."""
    steps = cached = 0
    for build in builds:
        steps += build.steps
        cached += build.cached
    return cached / steps if steps else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
