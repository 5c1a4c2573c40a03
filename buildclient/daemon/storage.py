"""What a daemon keeps on its disk: the build cache's records, and how they are removed.

Reference: `DiskUsage` and `Prune` of api/services/control/control.proto of BuildKit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from buildclient.daemon.channel import Channel
from buildclient.daemon.query import Query, server_stream, stamp, unary
from buildclient.proto import storage_pb2 as pb

__all__ = ["Pruning", "UsageRecord", "disk_usage", "prune", "totals"]

_CONTROL = "/moby.buildkit.v1.Control/"


class UsageRecord(NamedTuple):
    """A record of the build cache."""

    id: str
    size: int
    """In bytes."""
    type: str = ""
    """`regular`, `source.local`, `exec.cachemount`, `frontend`, `internal`, …"""
    description: str = ""
    created: float | None = None
    """Seconds since the epoch, as `last_used`."""
    last_used: float | None = None
    usage_count: int = 0
    mutable: bool = False
    in_use: bool = False
    shared: bool = False
    parents: tuple[str, ...] = ()


class Pruning(NamedTuple):
    """What to remove; the fields are those of BuildKit's PruneRequest."""

    filters: tuple[str, ...] = ()
    """In containerd's filter language; a record goes if one of them matches, and every record without any."""
    all: bool = False
    """Also internal and frontend images."""
    keep_duration: int = 0
    """Nanoseconds: what was used more recently stays."""
    reserved_space: int = 0
    """Bytes that the cache may always keep."""
    max_used_space: int = 0
    """Bytes that the cache may take at most."""
    min_free_space: int = 0
    """Bytes of the disk that should be free afterwards."""


def disk_usage(filters: tuple[str, ...] = ()) -> Query[tuple[UsageRecord, ...]]:
    """Returns the records of the cache, the smallest first."""

    async def ask(channel: Channel, timeout: float) -> tuple[UsageRecord, ...]:
        call = unary(channel, f"{_CONTROL}DiskUsage", pb.DiskUsageResponse)
        answer = await call(pb.DiskUsageRequest(filter=filters), timeout=timeout)
        return tuple(sorted(map(_record, answer.record), key=lambda one: (one.size, one.id)))

    return ask


def prune(wanted: Pruning, removed: Callable[[UsageRecord], None]) -> Query[int]:
    """Removes records; `removed` is called with each. Returns the bytes that became free."""

    async def ask(channel: Channel, timeout: float) -> int:
        call = server_stream(channel, f"{_CONTROL}Prune", pb.UsageRecord)
        total = 0
        values = wanted._asdict()
        request = pb.PruneRequest(filter=values.pop("filters"), **values)
        async for message in call(request, timeout=timeout):
            record = _record(message)
            total += record.size
            removed(record)
        return total

    return ask


def totals(records: Iterable[UsageRecord]) -> tuple[int, int]:
    """Returns the bytes of all records, and of those that no build is using."""
    sizes = [(max(0, record.size), record.in_use) for record in records]
    return sum(size for size, _ in sizes), sum(size for size, used in sizes if not used)


def _record(message: Any) -> UsageRecord:
    return UsageRecord(
        id=message.id,
        size=message.size,
        type=message.record_type,
        description=message.description.decode(errors="replace"),
        created=stamp(message, "created_at"),
        last_used=stamp(message, "last_used_at"),
        usage_count=message.usage_count,
        mutable=message.mutable,
        in_use=message.in_use,
        shared=message.shared,
        parents=tuple(message.parents) or ((message.parent,) if message.parent else ()),
    )
