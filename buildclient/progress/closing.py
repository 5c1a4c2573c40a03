"""What stands below the steps when a build is over: the output of what failed, the frontend's warnings, a summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from buildclient.base.visible import log_text, one_line
from buildclient.progress.events import Warned, distinct
from buildclient.progress.excerpt import excerpt
from buildclient.progress.state import Progress

__all__ = ["DEFAULT", "Closing", "closing_lines", "last_words", "warning_lines"]


class Closing(NamedTuple):
    """What a display says in the end."""

    expand_warnings: bool = False
    """Whether the details of warnings are shown."""
    summary: bool = True
    """Whether the last line says what the build did."""


DEFAULT = Closing()


def closing_lines(
    progress: Progress, closing: Closing, seconds: float, *, failed: bool, colour: str = "", live: bool = False
) -> Iterator[str]:
    """All of it. `seconds` is how long the build took, `colour` the code of the warnings' heading.

    `live` is for a display whose lines may be cut at the terminal's edge.
    """
    if failed:
        yield from last_words(progress)
    yield from warning_lines(progress.warnings, expand=closing.expand_warnings, colour=colour)
    if closing.summary and progress.solves:
        from buildclient.progress.summary import summarize, summary_lines

        yield ""
        yield from summary_lines(summarize(progress, seconds), failed=failed, pushed=live)


def last_words(progress: Progress) -> Iterator[str]:
    """The output of what failed, as much of it as was kept."""
    for row in progress.failed():
        yield "------"
        yield f" > {row.name}:"
        if row.lines_dropped:
            yield f"… {row.lines_dropped} earlier lines are not kept"
        yield from row.log
        yield "------"


def warning_lines(warnings: list[Warned], *, expand: bool = False, colour: str = "") -> Iterator[str]:
    """The warnings, each once; with `expand` what the frontend says of them, and the lines of the Dockerfile."""
    found = distinct(warnings)
    if not found:
        return
    yield ""
    more = "" if expand else " (use buildclient --debug to expand)"
    heading = f"{len(found)} warning{'s' if len(found) > 1 else ''} found{more}:"
    yield f" \x1b[{colour}m{heading}\x1b[0m" if colour else f" {heading}"
    for warning in found:
        yield f" - {one_line(warning.short)}"
        if expand:
            yield from _details(warning)


def _details(warning: Warned) -> Iterator[str]:
    yield from (one_line(line) for line in warning.detail)
    if warning.url:
        yield f"More info: {one_line(warning.url)}"
    if warning.ranges and (found := excerpt(one_line(warning.filename), warning.source, warning.ranges)):
        yield from (log_text(line) for line in found.split("\n"))
    yield ""
