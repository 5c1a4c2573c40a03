"""What `builders` writes: results to standard output, progress to standard error; and what it does when either is gone.

What was done to a cluster is the status, whether or not someone reads of it to the end.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.oserrors import reason
from buildclient.base.visible import log_text, one_line

if TYPE_CHECKING:
    from buildkit_builders.drift.compare import Field
    from buildkit_builders.results import Drift, Step

__all__ = ["drift_lines", "field_line", "progress", "report", "write", "write_drift", "write_stacks"]

_AROUND = 60
"""Characters of a value that a line shows."""


def progress(line: str) -> None:
    """Writes a line to standard error."""
    # Pulumi goes on whether or not anyone looks
    with contextlib.suppress(OSError):
        # its colours may stay
        click.echo(log_text(line), err=True)


def write(text: str, done: str = "") -> bool:
    """Writes a part of the result; False once nobody reads it, which says nothing of what was `done`."""
    try:
        click.echo(text)
    except OSError as error:
        lost = f"the {done} is done, but its result was not written" if done else "cannot write the result"
        if error.errno != errno.EPIPE:
            raise click.ClickException(f"{lost}: {reason(error)}") from None
        if done:
            progress(f"WARNING: {lost}: standard output was closed")
        return False
    return True


def report(
    output: str,
    *,
    stack: str,
    steps: tuple[Step, ...],
    verb: str = "",
    none: str = "no changes",
    done: str = "",
    **more: Any,
) -> None:
    """The result: JSON with everything, or one line a resource. `done` names what changed something."""
    if output == "json":
        listed = [step._asdict() for step in steps]
        write(json.dumps({"version": 1, "stack": stack, "steps": listed, **more}), done)
        return
    for step in steps:
        paths = f"  [{', '.join(step.paths)}]" if step.paths else ""
        line = f"{' '.join(filter(None, [verb, step.operation]))} {step.name} ({step.type}){paths}"
        if not write(one_line(line), done):
            return
    if not steps:
        write(f"{stack}: {none}", done)


def write_drift(output: str, found: Drift) -> None:
    """The drift: JSON with everything, or a line a field, then the lines of what is beside it."""
    if output == "json":
        fields, others = ([field.to_json() for field in listed] for listed in (found.fields, found.others))
        steps = [step._asdict() for step in found.steps]
        write(json.dumps({"version": 1, "stack": found.stack, "steps": steps, "fields": fields, "others": others}))
        return
    lines = drift_lines(found) or [f"{found.stack}: no drift"]
    lines += [f"not drift: {field_line(field)}" for field in found.others]
    for line in lines:
        if not write(one_line(line)):
            return


def drift_lines(found: Drift) -> list[str]:
    """What differs: a line a field, then one of each resource that Pulumi finds and the fields do not show."""
    named = {field.object.urn.rpartition("::")[2] for field in found.fields}
    return [field_line(field) for field in found.fields] + [
        f"differs: {step.operation} {step.name} ({step.type})" + (f"  [{', '.join(step.paths)}]" if step.paths else "")
        for step in found.steps
        if step.name not in named
    ]


def field_line(field: Field) -> str:
    """A field in a line: object, path, ours -> there, who and since when."""
    what = f"{field.object}"
    if field.change == "deleted":
        return f"{what}: deleted"
    by = " ".join(filter(None, [field.manager, field.subresource]))
    who = f"by {by}" if by else "by whom is not recorded"
    when = f"since {field.since}" if field.since else "no time is recorded" if by else ""
    origin = ", ".join(filter(None, [who, when]))
    if field.change == "replaced":
        return f"{what}: another object of this name ({origin})"
    ours, there = _sides(field.ours, field.there)
    return f"{what}: {field.path}: {ours} -> {there} ({origin})"


def _sides(ours: Any, there: Any) -> tuple[str, str]:
    """Both values, short, around the first character in which they differ."""
    one, other = ("(none)" if value is None else json.dumps(value, ensure_ascii=False) for value in (ours, there))
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    begin = max(0, same - _AROUND // 2) if max(len(one), len(other)) > _AROUND else 0
    return _cut(one, begin), _cut(other, begin)


def _cut(text: str, begin: int) -> str:
    end = begin + _AROUND
    return ("…" if begin else "") + text[begin:end] + ("…" if len(text) > end else "")


def write_stacks(output: str, found: Mapping[str, Any], selected: str | None) -> None:
    """The stacks by name, each with its output `builder`, None or an error; the `selected` one with a star."""
    if output == "json":
        listed = [{"name": name, "builder": _plain(value)} for name, value in found.items()]
        write(json.dumps({"version": 1, "stacks": listed}))
        return
    rows = [("STACK", "BUILDER", "NAMESPACE", "NODES")]
    rows += [(name + (" *" if name == selected else ""), *_cells(value)) for name, value in found.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        if not write(line.rstrip()):
            return


def _cells(builder: Any) -> tuple[str, str, str]:
    if not isinstance(builder, dict):
        return "-", "-", "" if builder is None else one_line(f"error: {builder}")
    nodes = (f"{node['name']} ({', '.join(node['platforms']) or 'any'})" for node in builder["nodes"])
    return one_line(builder["name"]), one_line(builder["namespace"]), one_line(", ".join(nodes))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"error": str(value)}
