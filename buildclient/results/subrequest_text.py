"""The text of a frontend's answer about a Dockerfile, as docker buildx prints it.

Reference: printResult in commands/build.go of buildx 0.38, the printers in frontend/subrequests of BuildKit, and Go's
text/tabwriter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from buildclient.base.gotext import go_quoted
from buildclient.progress.excerpt import excerpt
from buildclient.request.callmethod import CallMethod
from buildclient.results.subrequests import (
    BuildTarget,
    CheckError,
    CheckResult,
    CheckWarning,
    Location,
    Outline,
    SourceText,
    read_check,
    read_outline,
    read_targets,
)

__all__ = ["answer_text", "check_error_text", "tabulated"]

_VERSION = "1.0.0"
"""The version of the answers that is known here; the text of a newer one is the frontend's own."""


def answer_text(method: CallMethod, response: Mapping[str, str], dockerfile: str = "") -> str:
    """Returns what `--call` prints on standard output; may be empty.

    `dockerfile` is the name to print for the Dockerfile; empty for the frontend's. Raises BuildFailed for an answer
    that cannot be read.
    """
    known = _PRINTERS.get(method.name)
    if known is None:
        return _unknown(method, response)
    if method.format == "json":
        return f"{response.get('result.json', '')}\n"
    heading, body, end = known(response, dockerfile)
    if _newer(response.get("version", "")) and response.get("result.txt"):
        body = response["result.txt"]
    return f"{heading}{body}{end}"


def check_error_text(check: CheckResult, dockerfile: str = "") -> str:
    """Returns why the Dockerfile cannot be built, with its lines; empty if it can."""
    if check.error is None:
        return ""
    lines = _excerpt(check.error, check.sources, dockerfile)
    return f"{check.error.message}\n{lines}".rstrip("\n")


def _unknown(method: CallMethod, response: Mapping[str, str]) -> str:
    if method.format == "json" and "result.json" in response:
        return f"{response['result.json']}\n"
    if "result.txt" in response:
        return response["result.txt"]
    fields = [f"Name:{go_quoted(method.name)}"] if method.name else []
    fields += [f"Format:{go_quoted(method.format)}"] if method.format else []
    fields += ["IgnoreStatus:true"] if method.ignore_status else []
    listed = " ".join(f"{key}:{value}" for key, value in sorted(response.items()))
    return f"{' '.join(fields)} map[{listed}]\n"


def _newer(version: str) -> bool:
    """Whether an answer's version is newer than the one that is known here."""
    parts = [int(part) if part.isdecimal() and len(part) < 10 else 0 for part in version.split(".")]
    return parts > [int(part) for part in _VERSION.split(".")]


def _check(response: Mapping[str, str], dockerfile: str) -> tuple[str, str, str]:
    check = read_check(response)
    count = len(check.warnings)
    if not count:
        return "", "", "" if check.error else "Check complete, no warnings found.\n"
    found = "1 warning has been found!" if count == 1 else f"{count} warnings have been found!"
    ordered = sorted(check.warnings, key=functools.cmp_to_key(_order(check.sources)))
    body = "".join(_warning(one, check.sources, dockerfile) for one in ordered)
    return f"Check complete, {found}\n", body, "\n" if check.error else ""


def _warning(warning: CheckWarning, sources: Sequence[SourceText | None], dockerfile: str) -> str:
    url = f" - {warning.url}" if warning.url else ""
    return f"\nWARNING: {warning.rule}{url}\n{warning.detail}\n{_excerpt(warning, sources, dockerfile)}"


def _excerpt(about: CheckWarning | CheckError, sources: Sequence[SourceText | None], dockerfile: str) -> str:
    index, ranges = about.location
    source = sources[index] if index >= 0 else None
    text = excerpt(dockerfile or source.filename, source.data, ranges) if source else ""
    return f"{text}\n" if text else ""


def _order(sources: Sequence[SourceText | None]) -> Callable[[CheckWarning, CheckWarning], int]:
    """Compares as PrintTo of frontend/subrequests/lint: by file, then by first line."""

    def filename(location: Location) -> str:
        source = sources[location.source]
        return source.filename if source else ""

    def less(one: CheckWarning, other: CheckWarning) -> bool:
        here, there = one.location, other.location
        if here.source < 0 or there.source < 0:
            return one.rule < other.rule if here.source < 0 and there.source < 0 else here.source < 0
        if filename(here) != filename(there):
            return filename(here) < filename(there)
        if not here.ranges or not there.ranges:
            return one.rule < other.rule if not here.ranges and not there.ranges else not here.ranges
        return here.ranges[0].start < there.ranges[0].start

    return lambda one, other: less(other, one) - less(one, other)


def _outline(response: Mapping[str, str], dockerfile: str) -> tuple[str, str, str]:
    return "", _outline_text(read_outline(response)), ""


def _outline_text(outline: Outline) -> str:
    tables = []
    if outline.name or outline.description:
        rows = [["TARGET:", outline.name or "(default)"]]
        rows += [["DESCRIPTION:", outline.description]] if outline.description else []
        tables.append(tabulated(rows, 1))
    if outline.args:
        args = [[one.name, one.value, one.description] for one in outline.args]
        tables.append(tabulated([["BUILD ARG", "VALUE", "DESCRIPTION"], *args], 3))
    for heading, mounts in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if mounts:
            rows = [[one.name, "true" if one.required else ""] for one in mounts]
            tables.append(tabulated([[heading, "REQUIRED"], *rows], 3))
    return "".join(f"{table}\n" for table in tables)


def _targets(response: Mapping[str, str], dockerfile: str) -> tuple[str, str, str]:
    rows = [[_target_name(one), one.description] for one in read_targets(response)]
    return "", tabulated([["TARGET", "DESCRIPTION"], *rows], 1), ""


def _target_name(target: BuildTarget) -> str:
    return f"{target.name} (default)".lstrip() if target.default else target.name


def _describe(response: Mapping[str, str], dockerfile: str) -> tuple[str, str, str]:
    return "", response.get("result.txt", ""), ""


def tabulated(rows: Sequence[Sequence[str]], padding: int) -> str:
    """Returns the rows with their columns aligned as Go's text/tabwriter does.

    A column's width is that of its widest cell, and `padding` spaces, within a block of lines that have the column; the
    last cell of a line is in none. Tabs and line breaks in a cell make cells and lines of their own.
    """
    lines = [line.split("\t") for line in "\n".join("\t".join(row) for row in rows).split("\n")]
    widths = [[0] * (len(line) - 1) for line in lines]
    for column in range(max(len(line) for line in lines) - 1):
        start = 0
        for number in range(len(lines) + 1):
            if number < len(lines) and len(widths[number]) > column:
                continue
            block = range(start, number)
            width = max((len(lines[one][column]) for one in block), default=0) + padding
            for one in block:
                widths[one][column] = width
            start = number + 1
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(line, [*width_of, 0], strict=True)) + "\n"
        for line, width_of in zip(lines, widths, strict=True)
    )


_PRINTERS: Mapping[str, Callable[[Mapping[str, str], str], tuple[str, str, str]]] = {
    "lint": _check,
    "outline": _outline,
    "targets": _targets,
    "subrequests.describe": _describe,
}
