"""The job summary of a build, in GitHub's Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from buildclient.base.units import progress_size
from buildclient.base.visible import visible
from buildclient.progress.summary import BuildSummary

__all__ = ["MAX_BLOCK", "markdown"]

MAX_BLOCK = 64 << 10
"""Characters of an error or of a log at most; GitHub takes 1 MiB of a step's summary."""
_MOST = 20
"""Rows of a table at most."""


def markdown(
    title: str,
    summary: BuildSummary,
    *,
    error: str = "",
    sources: Sequence[str] = (),
    log: Sequence[str] = (),
    digest: str = "",
    closer: str = "",
) -> str:
    """Returns the text: a table of what was done, of platforms and slow steps, and why the build failed, if it did.

    `sources` are excerpts of the Dockerfile, `log` the failed step's last lines, `closer` a command that shows more.
    """
    lines = [f"### {'❌' if error else '✅'} {_cell(title)}", "", *_facts(summary, digest), *_platforms(summary)]
    if error:
        if summary.failed:
            lines += ["", f"**Failed step:** {_code(summary.failed)}"]
        lines += _block([*(source.rstrip("\n") for source in sources), f"ERROR: {error}"])
        if log:
            lines += ["", "<details><summary>Output of the step</summary>", *_block(log), "", "</details>"]
        if closer:
            lines += ["", _code(closer)]
    lines.append("")
    return "\n".join(lines)


def _facts(summary: BuildSummary, digest: str) -> Iterator[str]:
    yield "| Duration | Steps | Cached | Moved | Warnings |"
    yield "|---|---|---|---|---|"
    share = f" ({100 * summary.cached // summary.steps} %)" if summary.steps else ""
    moved = progress_size(summary.moved) if summary.moved else "–"
    yield f"| {summary.seconds:.1f} s | {summary.steps} | {summary.cached}{share} | {moved} | {summary.warnings} |"
    yield ""
    for image in summary.pushed[:_MOST]:
        yield f"- pushed {_code(image)}"
    if digest and not any(image.endswith(digest) for image in summary.pushed):
        yield f"- digest {_code(digest)}"


def _platforms(summary: BuildSummary) -> Iterator[str]:
    if summary.nodes:
        took = {(one.node, one.platform): one.seconds for one in summary.platforms}
        yield from ("", "| Node | Platform | Time | Steps | Cached | Pod |", "|---|---|---|---|---|---|")
        for node in summary.nodes[:_MOST]:
            names = ", ".join(_cell(one) for one in node.platforms[:_MOST]) or "–"
            times = [took[node.name, one] for one in node.platforms if (node.name, one) in took]
            seconds = f"{max(times):.1f} s" if times else "–"
            cells = (_cell(node.name), names, seconds, str(node.steps), str(node.cached), _cell(node.pod) or "–")
            yield f"| {' | '.join(cells)} |"
    if summary.slowest:
        yield from ("", "| Slowest steps | Time |", "|---|---|")
        for step in summary.slowest:
            yield f"| {_code(step.name)} | {step.seconds:.1f} s |"


def _cell(text: str) -> str:
    """Text of others in one line, that means nothing in Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", html.escape(_line(text)))


def _code(text: str) -> str:
    # In an element, as a pipe ends a table's cell also between backquotes.
    return f"<code>{html.escape(_line(text)).replace('|', '&#124;').replace('`', '&#96;')}</code>"


def _line(text: str) -> str:
    text = " ".join(visible(text).split())
    return text if len(text) <= 300 else f"{text[:299]}…"


def _block(lines: Sequence[str]) -> Iterator[str]:
    text = visible("\n".join(lines))
    if len(text) > MAX_BLOCK:
        text = f"{text[:MAX_BLOCK]}\n…"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", fence, text, fence)
