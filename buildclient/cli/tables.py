"""Prints lists as docker's commands do: tables, one JSON object a line, or a template of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildclient.base.errors import UsageError
from buildclient.base.visible import one_line
from buildclient.contract.patterns import pattern

__all__ = ["aligned", "rendered", "tabbed"]

_ACTION = pattern(r"\{\{-?\s*(json\s+)?\.(\w*)\s*-?\}\}")
_GAP = 3
_NARROWEST = 10
_TAB = 8


def rendered(
    rows: Sequence[Mapping[str, Any]], headers: Mapping[str, str], shape: str, columns: Sequence[str]
) -> Iterator[str]:
    """Returns the lines of a list in the shape that `--format` asks for.

    `shape` is `table` (of `columns`), `json`, `table {{.ID}}\\t{{.Size}}` or a template such as `{{.ID}} {{.Size}}`;
    `headers` names every field. Raises UsageError.
    """
    if shape == "json":
        for row in rows:
            yield json.dumps(row)
        return
    template = "\t".join(f"{{{{.{name}}}}}" for name in columns) if shape == "table" else shape.removeprefix("table ")
    template = template.replace("\\t", "\t").replace("\\n", "\n")
    _check(template, headers)
    if shape == "table" or shape.startswith("table "):
        cells = [[_filled(part, headers) for part in template.split("\t")]]
        cells += [[_filled(part, row) for part in template.split("\t")] for row in rows]
        yield from aligned(cells)
        return
    for row in rows:
        yield _filled(template, row)


def _check(template: str, headers: Mapping[str, str]) -> None:
    rest = _ACTION.sub("", template)
    names = [name for _, name in _ACTION.findall(template)]
    unknown = [name for name in names if name and name not in headers]
    if "{{" in rest or unknown:
        what = f"there is no field {unknown[0]}" if unknown else "only {{.FIELD}} and {{json .FIELD}} are served"
        raise UsageError(f"--format: {what}; the fields are {', '.join(headers)}")


def _filled(template: str, row: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        found = row[match[2]] if match[2] else row
        if match[1] or not match[2]:
            return json.dumps(found)
        if isinstance(found, bool):
            return str(found).lower()
        return one_line(f"[{' '.join(map(str, found))}]" if isinstance(found, list | tuple) else str(found))

    return _ACTION.sub(value, template)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table, as docker pads its columns."""
    widths = [max(_NARROWEST, *(len(row[column]) + _GAP for row in rows)) for column in range(len(rows[0]))]
    return ["".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def tabbed(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines whose columns are aligned by tabs, as Go's tabwriter makes them with tabs of eight."""
    if not rows:
        return []
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) // _TAB + 1 for column in range(len(rows[0]) - 1)]
    lines = []
    for row in shown:
        cells = [cell + "\t" * (width - len(cell) // _TAB) for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append("".join(cells) + row[-1])
    return lines
