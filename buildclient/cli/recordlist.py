"""The rows of `buildclient history ls`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from buildclient.base.units import short_duration
from buildclient.cli.upkeep import ago, instant
from buildclient.daemon.buildname import build_name

if TYPE_CHECKING:
    from buildclient.upkeep import FoundRecord

__all__ = ["COLUMNS", "HEADERS", "record_row", "record_row_json"]

HEADERS = {
    "Ref": "BUILD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "CreatedAt": "CREATED AT",
    "Duration": "DURATION",
    "Node": "NODE",
    "Pod": "POD",
}
"""The fields that a template may name, and their headings."""
COLUMNS = ("Ref", "Name", "Status", "CreatedAt", "Duration")
"""Those of the table."""
_NAME = 36
"""Characters of a name in the table."""


def record_row(found: FoundRecord, *, shorten: bool) -> dict[str, Any]:
    """Returns the fields of a record for a table or a template; `shorten` keeps the end of a long name."""
    record = found.record
    name = build_name(record.attrs)
    if shorten and len(name) > _NAME:
        name = f"..{name[2 - _NAME :]}"
    return {
        "Ref": record.ref,
        "Name": name,
        "Status": record.status,
        "CreatedAt": ago(record.created),
        "Duration": short_duration(record.lasted(time.time())) + ("+" if record.completed is None else ""),
        "Node": found.node,
        "Pod": found.pod,
    }


def record_row_json(found: FoundRecord) -> dict[str, Any]:
    """Returns the fields of a record for `--json`: docker buildx's names, and `node` and `pod`."""
    record = found.record
    ended = {"completed_at": instant(record.completed)} if record.completed is not None else {}
    return {
        "ref": record.ref,
        "name": build_name(record.attrs),
        "status": record.status,
        "created_at": instant(record.created),
        **ended,
        "total_steps": record.total_steps,
        "completed_steps": record.completed_steps,
        "cached_steps": record.cached_steps,
        "node": found.node,
        "pod": found.pod,
    }
