"""The lines of a Dockerfile that an error or a warning is about, as docker buildx prints them."""

from __future__ import annotations

from collections.abc import Sequence

from buildclient.progress.events import SourceRange

__all__ = ["excerpt"]

_RULE = "--------------------"


def excerpt(filename: str, data: bytes, ranges: Sequence[SourceRange]) -> str:
    """`FILE:LINE`, a rule, the lines with `>>>` before those at fault and some around them, a rule.

    Empty when no range lies in the file.
    """
    lines = data.decode("utf-8", errors="replace").split("\n")
    found = [r for r in ranges if r.start >= 1]
    if not found:
        return ""
    first = start = min(r.start for r in found)
    end = max(max(r.start, r.end) for r in found)
    if start > len(lines):
        return ""
    end = min(end, len(lines))
    around = 4 if end == start else 2
    shown = 0
    while shown < around:
        if start > 1:
            start -= 1
            shown += 1
        if end != len(lines):
            end += 1
            shown += 1
        shown += 1
    rows = [
        f" {number:3} | {'>>>' if any(r.start <= number <= max(r.start, r.end) for r in found) else '   '} "
        f"{lines[number - 1]}"
        for number in range(start, end + 1)
    ]
    return "\n".join([f"{filename}:{first}", _RULE, *rows, _RULE])
