"""The report: a table in Markdown, with the machine and the command."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench import manypods
from bench.measure import CLIENTS, Pair
from bench.startup import Imports
from bench.verdict import BOUNDS, Figure, verdict

__all__ = ["Report", "Row", "figure", "line", "page", "table"]

_MIB = 1 << 20
_MB = 1e6


class Row(NamedTuple):
    """One measured case."""

    name: str
    title: str
    pair: Pair
    goal: float | None = None


class Report(NamedTuple):
    """All that a run found."""

    rows: Sequence[Row]
    bootstrap: Pair | None
    """Until two nodes are ready."""
    imports: Imports | None
    planning: tuple[Figure, float] | None
    """The client's own decisions, and the seconds of them that are sums."""
    many: tuple[Figure, int] | None
    """`ls` of 1,000 pods, and the bytes of memory that it held."""
    failed: Sequence[str]
    """Cases that could not be measured, each with the reason."""
    left_out: Sequence[str]
    """Titles of cases that this run did not have."""
    plots: Sequence[tuple[str, str]]
    """Titles and file names of plots beside the page."""
    command: str
    date: str
    note: str = ""
    """What else is to be known of the machine."""


def figure(row: Row) -> Figure:
    """What a row comes to."""
    return Figure(row.name, row.pair.seconds("ours"), row.pair.seconds("buildx"), row.goal)


def line(row: Row) -> str:
    """A row of the table: medians with their spread, the ratio and its goal, processor, memory, bytes."""
    pair = row.pair
    times = [f"{_seconds(pair.seconds(client))} ({_spread(pair, client)})" for client in CLIENTS]
    bound = f" (bound {BOUNDS[row.name]:g})" if row.name in BOUNDS else ""
    goal = "" if row.goal is None else f"≤ {row.goal:g} {verdict(figure(row))}{bound}"
    cells = [row.title, *times, f"{pair.ratio:.2f}", goal]
    cells.append(" · ".join(_seconds(pair.processor(client)) for client in CLIENTS))
    cells.append(" · ".join(f"{pair.memory(client) / _MIB:.0f}" for client in CLIENTS))
    bytes_of = [pair.carried(client) / _MB for client in CLIENTS]
    cells.append(" · ".join(f"{size:.3g}" for size in bytes_of) if any(bytes_of) else "")
    return f"| {' | '.join([*cells, str(len(pair.ours))])} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def page(report: Report) -> str:
    """The whole page."""
    parts = [_INTRODUCTION, f"Measured on {report.date} by `{report.command}` on {_machine()}. {report.note}".rstrip()]
    if report.rows:
        parts.append("\n".join([*_HEAD, *map(line, report.rows)]))
    if report.failed:
        failed = "\n".join(f"- {text}" for text in report.failed)
        parts.append(f"What could not be measured in this run:\n\n{failed}")
    if report.left_out:
        left_out = "\n".join(f"- {title}" for title in report.left_out)
        parts.append(f"Cases that this run left out, so that there is no figure for them here:\n\n{left_out}")
    parts += [f"## {title}\n\n![{title}]({file})" for title, file in report.plots]
    parts += _bootstrap(report.bootstrap) + _imports(report.imports) + _planning(report.planning)
    parts += _many(report.many)
    return "\n\n".join([*parts, _READING]) + "\n"


def _bootstrap(pair: Pair | None) -> list[str]:
    if not pair:
        return []
    ours, peer = pair.seconds("ours"), pair.seconds("buildx")
    return [
        "## From nothing to two ready nodes\n\n"
        f"`pulumi up` of stack `local`: **{ours:.1f} s**. `docker buildx create --bootstrap` and `--append` for "
        f"the same two nodes: {peer:.1f} s. Ratio {ours / peer:.2f}; both in one run, images on the nodes. The "
        "difference is the probe: ours asks every second from the start, docker buildx's first after five and then "
        "every thirty, one node after the other."
    ]


def _imports(imported: Imports | None) -> list[str]:
    if not imported:
        return []
    shares = ", ".join(f"{name} {taken * 1000:.0f}" for name, taken in imported.shares.items())
    return [
        "## Start-up\n\n"
        f"All that a cached build imports, the bare interpreter included: **{imported.whole:.3f} s** (the "
        f"interpreter alone: {imported.bare:.3f} s; the least of fifteen runs, byte code there). Part of it happens "
        f"while the cluster answers. By package, in milliseconds, traced: {shares}. docker buildx starts in a few "
        "milliseconds, as a program in Go does: where everything is near and cached, that is the difference, and "
        "with these libraries it cannot go away."
    ]


def _planning(planned: tuple[Figure, float] | None) -> list[str]:
    if not planned:
        return []
    whole, sums = planned
    return [
        "## Decisions\n\n"
        "Planning 64 targets on 8 platforms and choosing their pods among 1,000, each target with a routing key of "
        f"its own: **{whole.ours * 1000:.0f} ms** of processor time (goal: {(whole.goal or 0) * 1000:.0f} ms, "
        f"{verdict(whole)}). {sums * 1000:.0f} ms of it are 64,000 SHA-256 sums, one for each key and pod: without "
        "another order of the pods, which would move every project's builds, it cannot be less."
    ]


def _many(many: tuple[Figure, int] | None) -> list[str]:
    if not many:
        return []
    whole, memory = many
    return [
        "## Many pods\n\n"
        f"`ls` of a node of 1,000 pods: **{_seconds(whole.ours)}** (goal: {whole.goal:g} s, {verdict(whole)}), "
        f"{memory / _MIB:.0f} MiB (goal: {manypods.MEMORY / _MIB:.0f} MiB). Eight of them run BuildKit, and these are "
        "asked; the others are objects of the API server (`bench/manypods.py`)."
    ]


def _spread(pair: Pair, client: str) -> str:
    least, most = pair.spread(client)
    return f"{least:.2f}–{most:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _machine() -> str:
    model = ""
    with open("/proc/cpuinfo") as file:
        model = next((text.partition(":")[2].strip() for text in file if text.startswith("model name")), "")
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({model}), {size:.0f} GiB, Linux {platform.release()}, Python {python}"


_HEAD = (
    "| what | ours | docker buildx | ratio | goal | processor | memory, MiB | MB over the link | rounds |",
    "|---|---|---|---|---|---|---|---|---|",
)
_INTRODUCTION = """# Speed

`buildclient` and `docker buildx` 0.38 side by side. Written by `python -m bench --write docs/speed.md`; do not edit.
The same figures are in `bench/latest.json`: `goal` is a ratio; where there is no `ratio`, it is seconds."""
_READING = """## How it is measured

Both clients use the same BuildKit pods, through the Kubernetes API, on the local cluster. Each row is one command,
timed as a whole process, the two taking turns and the order changing every round; medians, and in brackets the
shortest and the longest time. Processor time, memory and bytes are ours · docker buildx's. Processor time is that of
the command's processes alone, a median; memory the most that they held in any round, added up where several run at
once. A kept connection's background process is not in either. "First" and the large file begin with emptied caches.
Each client has a context of its own, so that neither is spared what the other sent. A case that was measured "at 0.1 of
its size" is held against the goal of the whole size all the same. A bound is what is within reach where a goal is not:
[where-time-goes.md](where-time-goes.md); `QUICK=1` fails where a case is more than a fifth behind both.

After each case it is seen that both made the same, or there is no figure: of a context, the sums of its files as the
daemon got them; of files and archives that came back, every file's or layer's digest; of a pushed image its platforms
and layers (where nothing is cached, its steps).

A link (`bench/link.py`) is a proxy before the API server with a round-trip time and a rate; it is tested against known
ones. The registry is near the daemons and not behind it. What a builder's cache survives is measured by
`python -m bench.survival` ([persistent cache](persistent-cache.md)). Times vary from machine to machine; the ratio is
what to look at, and a test holds those without a link under 2."""
