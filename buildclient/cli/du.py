"""`buildclient du`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.errors import UsageError
from buildclient.base.units import human_size
from buildclient.cli.running import run
from buildclient.cli.tables import aligned, rendered, tabbed
from buildclient.cli.upkeep import (
    ago,
    day,
    pick_of,
    pick_options,
    seconds_of,
    shape_of,
    shape_options,
    told_missed,
)
from buildclient.cli.where import builder_of, where_options
from buildclient.daemon.filters import cache_filter
from buildclient.upkeep import Answer, disk_usage

if TYPE_CHECKING:
    from buildclient.daemon.storage import UsageRecord

__all__ = ["command", "record_lines"]

_HEADERS = {
    "ID": "ID",
    "Parents": "PARENTS",
    "CreatedAt": "CREATED AT",
    "Mutable": "MUTABLE",
    "Reclaimable": "RECLAIMABLE",
    "Shared": "SHARED",
    "Size": "SIZE",
    "Description": "DESCRIPTION",
    "UsageCount": "USAGE COUNT",
    "LastUsedAt": "LAST ACCESSED",
    "Type": "TYPE",
    "Bytes": "BYTES",
    "Node": "NODE",
    "Pod": "POD",
}
_COLUMNS = ("ID", "Reclaimable", "Size", "LastUsedAt")


@click.command("du")
@where_options
@pick_options
@click.option(
    "--filter", "filters", metavar="KEY=VALUE", multiple=True, help="Only records that match, such as type=regular."
)
@shape_options("table, pretty")
@click.option("--verbose", is_flag=True, help="Short for --format pretty.")
@click.option("--timeout", metavar="DURATION", default="20s", help="Time limit for each pod to answer (default 20s).")
def command(filters: Sequence[str], verbose: bool, timeout: str, **flags: Any) -> int:
    """Show what the builder's pods keep on their disks, summed up by node.

    \b
    Examples:
      buildclient du
      buildclient du --filter type=exec.cachemount --format '{{.Pod}} {{.Size}} {{.Description}}'
      buildclient du --node builder-amd64 --json

    Ends with 125 when a pod could not be asked.
    """
    if verbose and (flags["shape"] or flags["as_json"]):
        raise UsageError("--format and --verbose cannot be used together")
    shape = "pretty" if verbose else shape_of(flags, "table")
    for name in ("shape", "as_json"):
        flags.pop(name, None)
    pick, limit, wanted = pick_of(flags), seconds_of("--timeout", timeout), cache_filter(filters)
    found = run(disk_usage(builder_of(flags), wanted, pick, limit))
    several = len(found.answers) > 1
    records = [(one, record) for one in found.answers for record in one.value]
    if shape == "pretty":
        for one, record in records:
            print("\n".join([*record_lines(record), *([f"Pod:          {one.pod}"] if several else []), ""]))
    else:
        table = shape.startswith("table")
        rows = [_row(one, record, table) for one, record in records]
        for line in rendered(rows, _HEADERS, shape, (*_COLUMNS, *(("Pod",) if several else ()))):
            print(line)
    if shape in ("table", "pretty") and not filters:
        print("\n".join(_summary(found.answers)))
    return told_missed(found.missed)


def record_lines(record: UsageRecord) -> list[str]:
    """Returns the details of a record, as docker buildx prints them."""
    parents = ["Parents:", *(f" - {parent}" for parent in record.parents)] if record.parents else []
    return [
        f"ID:           {record.id}",
        *parents,
        f"Created at:   {day(record.created)}",
        f"Mutable:      {str(record.mutable).lower()}",
        f"Reclaimable:  {str(not record.in_use).lower()}",
        f"Shared:       {str(record.shared).lower()}",
        f"Size:         {human_size(record.size)}",
        *([f"Description:  {record.description}"] if record.description else []),
        f"Usage count:  {record.usage_count}",
        *([f"Last used:    {ago(record.last_used)}"] if record.last_used is not None else []),
        *([f"Type:         {record.type}"] if record.type else []),
    ]


def _row(one: Answer[Any], record: UsageRecord, table: bool) -> dict[str, Any]:
    """The fields of a record; a table marks what is mutable or shared with a star, as docker buildx does."""
    return {
        "CreatedAt": day(record.created),
        "Description": record.description,
        "ID": record.id + ("*" if table and record.mutable else ""),
        "LastUsedAt": ago(record.last_used),
        "Mutable": record.mutable,
        "Parents": list(record.parents),
        "Reclaimable": not record.in_use,
        "Shared": record.shared,
        "Size": human_size(record.size) + ("*" if table and record.shared else ""),
        "Type": record.type,
        "UsageCount": record.usage_count,
        "Bytes": record.size,
        "Node": one.node,
        "Pod": one.pod,
    }


def _summary(answers: Sequence[Answer[tuple[UsageRecord, ...]]]) -> Iterator[str]:
    from buildclient.daemon.storage import totals

    records = [record for one in answers for record in one.value]
    total, free = totals(records)
    shared = sum(record.size for record in records if record.shared)
    rows = [("Shared:", human_size(shared)), ("Private:", human_size(total - shared))] if shared else []
    yield from tabbed([*rows, ("Reclaimable:", human_size(free)), ("Total:", human_size(total))])
    nodes: dict[str, list[Answer[tuple[UsageRecord, ...]]]] = {}
    for one in answers:
        nodes.setdefault(one.node, []).append(one)
    if len(answers) > 1:
        table = [("NODE", "PODS", "RECLAIMABLE", "TOTAL")]
        for name, pods in nodes.items():
            total, free = totals([record for pod in pods for record in pod.value])
            table.append((name, str(len(pods)), human_size(free), human_size(total)))
        yield ""
        yield from aligned(table)
