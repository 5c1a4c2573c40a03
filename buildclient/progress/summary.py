"""What a build did, as a value: made of its progress, for the last line of a display, a job's summary, a program.

progress = Progress()
builder.build(request, progress.feed)
summary = summarize(progress)
print(summary.cached, "of", summary.steps, "steps came from the cache")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from buildclient.base.units import progress_size
from buildclient.contract.patterns import pattern
from buildclient.progress.columns import cut
from buildclient.progress.events import distinct
from buildclient.progress.row import ProgressRow
from buildclient.progress.state import Progress

__all__ = ["BuildSummary", "NodeSummary", "PlatformTime", "StepTime", "summarize", "summary_lines"]

_SLOWEST = 3
_SLOW = 1.0
"""Seconds below which no step is called slow."""
_NAME_COLUMNS = 48
_STEP = pattern(r"\[([^]]* )?\d+/\d+\] ")
"""How the Dockerfile frontend names its instructions: `[linux/arm64 build 2/3] RUN make`."""
_PLATFORM = pattern(r"[a-z][a-z0-9]*/[a-z][a-z0-9]*(/[a-z0-9.]+)?\Z")
_PUSHED = pattern(r"pushing manifest for (\S+@sha256:[0-9a-f]{64})\Z")


class StepTime(NamedTuple):
    """A step and how long it took."""

    name: str
    seconds: float
    node: str = ""
    """The name of its node; empty where one node builds all."""


class PlatformTime(NamedTuple):
    """A platform and how long it took, from the first of its steps to the end of the last."""

    platform: str
    seconds: float
    node: str


class NodeSummary(NamedTuple):
    """What one node did."""

    name: str
    pod: str
    """Empty for a daemon at an address."""
    ref: str
    """The build's id on that node's daemon."""
    platforms: tuple[str, ...]
    """Empty for the daemon's own."""
    steps: int
    cached: int


class BuildSummary(NamedTuple):
    """What a build did. Times are in seconds."""

    seconds: float
    """From the first event to the last."""
    steps: int
    """Instructions of the Dockerfile, each once a platform."""
    cached: int
    """How many of them came from the cache."""
    failed: str
    """The name of the step that failed; empty if none did."""
    moved: int
    """Bytes of contexts and layers that were sent or fetched, as far as the daemons count them."""
    pushed: tuple[str, ...]
    """`NAME:TAG@DIGEST` of each image."""
    warnings: int
    nodes: tuple[NodeSummary, ...]
    platforms: tuple[PlatformTime, ...]
    slowest: tuple[StepTime, ...]
    """The longest first, at most three."""
    compressed: int = 0
    """Bytes of contexts that were sent compressed, before compression."""
    compressed_to: int = 0
    """The same, as they were sent."""

    def as_dict(self) -> dict[str, Any]:
        """Returns it in dicts and lists, for JSON."""
        return {
            **self._asdict(),
            "nodes": [one._asdict() for one in self.nodes],
            "platforms": [one._asdict() for one in self.platforms],
            "slowest": [one._asdict() for one in self.slowest],
        }


def summarize(progress: Progress, seconds: float | None = None) -> BuildSummary:
    """Returns the summary of a build that is over; `seconds` is how long it took, if that is known better."""
    shown = [row for section in progress.sections.values() for row in section.shown]
    steps = [row for row in shown if _STEP.match(row.title)]
    worked = sorted((row for row in steps if not row.cached and not row.cancelled), key=_took, reverse=True)
    failed = progress.failed()
    return BuildSummary(
        seconds=_between(shown) if seconds is None else seconds,
        steps=len(steps),
        cached=_cached(steps),
        failed=failed[0].name if failed else "",
        moved=sum(status.current for row in shown for status in row.statuses.values() if "extract" not in status.id),
        pushed=tuple(dict.fromkeys(_pushed(shown))),
        warnings=len(distinct(progress.warnings)),
        nodes=tuple(_nodes(progress, steps)),
        platforms=tuple(_platforms(progress, shown)),
        slowest=tuple(StepTime(row.name, _took(row), row.node) for row in worked[:_SLOWEST] if _took(row) >= _SLOW),
        compressed=progress.compressed,
        compressed_to=progress.compressed_to,
    )


def summary_lines(summary: BuildSummary, *, failed: bool = False, pushed: bool = False) -> Iterator[str]:
    """The summary in one line; with `pushed` a line for each image too, as it may be named nowhere in full."""
    if pushed:
        yield from (f"pushed {one}" for one in summary.pushed)
    parts = [f"{summary.steps} step{'' if summary.steps == 1 else 's'}, {summary.cached} cached"]
    if where := _where(summary):
        parts.append(where)
    if summary.slowest:
        slow = [f"{cut(one.name, _NAME_COLUMNS)} {one.seconds:.1f}s" for one in summary.slowest]
        parts.append(f"slowest {', '.join(slow)}")
    if summary.moved:
        packed = f", {progress_size(summary.compressed)} in {progress_size(summary.compressed_to)}"
        parts.append(f"{progress_size(summary.moved)} moved{packed if summary.compressed else ''}")
    yield f"{'Failed after' if failed else 'Built in'} {summary.seconds:.1f}s: {'; '.join(parts)}"


def _where(summary: BuildSummary) -> str:
    """Each platform with its time and pod; the pods alone where no platform was asked for."""
    pods = {node.name: node.pod for node in summary.nodes}
    found = []
    for one in summary.platforms:
        pod = pods.get(one.node, "")
        found.append(f"{one.platform} {one.seconds:.1f}s{f' on {pod}' if pod else ''}")
    return ", ".join(found) or ", ".join(f"on {pod}" for pod in pods.values() if pod)


def _nodes(progress: Progress, steps: list[ProgressRow]) -> Iterator[NodeSummary]:
    for place, solve in progress.solves.items():
        own = [row for row in steps if (row.build, row.node) == place]
        yield NodeSummary(solve.name, solve.pod, solve.ref, solve.platforms, len(own), _cached(own))


def _platforms(progress: Progress, shown: list[ProgressRow]) -> Iterator[PlatformTime]:
    for place, solve in progress.solves.items():
        own = [row for row in shown if (row.build, row.node) == place and not _is_client(row)]
        for platform in solve.platforms:
            named = own if len(solve.platforms) == 1 else [row for row in own if platform in _words(row)]
            if named:
                yield PlatformTime(platform, _between(named), solve.name)


def _words(row: ProgressRow) -> list[str]:
    inner = row.title[1:].partition("]")[0] if row.title.startswith("[") else ""
    return [word for word in inner.split() if _PLATFORM.match(word)]


def _is_client(row: ProgressRow) -> bool:
    return all(digest.startswith("client:") for digest in row.vertices)


def _pushed(rows: Iterable[ProgressRow]) -> Iterator[str]:
    for row in rows:
        for status in row.statuses.values():
            if (found := _PUSHED.match(status.id)) is not None and not row.error:
                yield found[1]


def _cached(rows: Iterable[ProgressRow]) -> int:
    return sum(row.cached and not row.error for row in rows)


def _took(row: ProgressRow) -> float:
    return row.seconds(row.ended or row.started or 0.0)


def _between(rows: list[ProgressRow]) -> float:
    """Seconds from the first start to the last end, on the daemon's clock."""
    if not rows:
        return 0.0
    first = min(row.started or 0.0 for row in rows)
    return max(0.0, max((row.ended or row.started or 0.0) for row in rows) - first)
