"""The report: a table in Markdown, with the machine and the command."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import NamedTuple

from bench.measure import Pair

__all__ = ["Report", "Row", "page"]

_MIB = 1 << 20


class Row(NamedTuple):
    """One measured case."""

    title: str
    pair: Pair


class Report(NamedTuple):
    """All that a run found."""

    rows: Sequence[Row]
    bootstrap: Pair | None
    """Until two nodes are ready."""
    imports: tuple[float, float] | None
    """Seconds: all imports of a cached build with the interpreter, the interpreter alone."""
    command: str
    date: str


def line(row: Row) -> str:
    """A row of the table: medians, the ratio, memory."""
    pair = row.pair
    times = [_seconds(pair.seconds(client)) for client in ("ours", "buildx")]
    memory = [f"{pair.memory(client) / _MIB:.0f} MiB" for client in ("ours", "buildx")]
    cells = [row.title, *times, f"{pair.ratio:.2f}", *memory, str(len(pair.ours))]
    return f"| {' | '.join(cells)} |"


def page(report: Report) -> str:
    """The whole page."""
    parts = [_INTRODUCTION, f"Measured on {report.date} by `{report.command}` on {_machine()}."]
    if report.rows:
        parts.append("\n".join([*_HEAD, *(line(row) for row in report.rows)]))
    if report.bootstrap:
        ours, peer = report.bootstrap.seconds("ours"), report.bootstrap.seconds("buildx")
        parts.append(
            "## From nothing to two ready nodes\n\n"
            f"`pulumi up` of stack `local`: **{ours:.1f} s**. `docker buildx create --bootstrap` and `--append` for "
            f"the same two nodes: {peer:.1f} s. Ratio {ours / peer:.2f}; both in one run, images on the nodes. The "
            "difference is the probe: ours asks every second from the start, docker buildx's first after five and then "
            "every thirty, one node after the other."
        )
    if report.imports:
        whole, bare = report.imports
        parts.append(
            "## Start-up\n\n"
            f"All that a cached build imports, the bare interpreter included: **{whole:.3f} s** (the interpreter "
            f"alone: {bare:.3f} s; the least of fifteen runs, byte code there). Part of it happens while the cluster "
            "answers."
        )
    return "\n\n".join([*parts, _READING]) + "\n"


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
    "| what | ours | docker buildx | ratio | memory, ours | memory, docker buildx | rounds |",
    "|---|---|---|---|---|---|---|",
)
_INTRODUCTION = """# Speed

`buildclient` and `docker buildx` 0.38 side by side. Written by `python -m bench --write docs/speed.md`; do not edit."""
_READING = """## How it is measured

Both clients use the same BuildKit pods, through the Kubernetes API, on the local cluster. Each row is one command,
timed as a whole process, the two taking turns and the order changing every round; medians. Memory is the most that the
process itself held in any round. "First" and the large file begin with emptied caches. Each client has a context of
its own, so that neither is spared what the other sent. Times vary from machine to machine; the ratio is what to look
at, and a test holds every one of them under 2."""
