"""Converts events to the JSON objects of `--progress rawjson`: BuildKit's SolveStatus, with one kind of event each.

Reference: client/graph.go of BuildKit.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from buildclient.progress.events import Compressed, Event, Log, SolveStarted, Vertex, VertexStatus, Warned

__all__ = ["status_object", "warning_object"]


def status_object(event: Event) -> dict[str, list[dict[str, Any]]]:
    """The object of one line; fields without a value are left out, as in Go. Empty for what the daemon does not say."""
    value: dict[str, Any]
    if isinstance(event, SolveStarted | Compressed):
        return {}
    if isinstance(event, Vertex):
        group = {"id": event.group, "name": event.group_name, "weak": event.group_weak}
        value = {
            "digest": event.digest,
            "inputs": list(event.inputs),
            "name": event.name,
            "started": _time(event.started),
            "completed": _time(event.completed),
            "cached": event.cached,
            "error": event.error,
            "progressGroup": _kept(group) if event.group else None,
        }
        return {"vertexes": [_kept(value)]}
    if isinstance(event, VertexStatus):
        value = {
            "id": event.id,
            "vertex": event.vertex,
            "name": event.name,
            "total": event.total,
            "timestamp": _time(event.timestamp),
            "started": _time(event.started),
            "completed": _time(event.completed),
        }
        return {"statuses": [{**_kept(value), "current": event.current}]}
    if isinstance(event, Log):
        value = {
            "vertex": event.vertex,
            "stream": event.stream,
            "data": base64.b64encode(event.data).decode(),
            "timestamp": _time(event.timestamp),
        }
        return {"logs": [_kept(value)]}
    return {"warnings": [warning_object(event)]}


def warning_object(event: Warned) -> dict[str, Any]:
    """A warning's object, in the progress and in the metadata file."""
    source = {
        "filename": event.filename,
        "data": base64.b64encode(event.source).decode(),
        "language": event.language,
    }
    value = {
        "vertex": event.vertex,
        "level": event.level,
        "short": base64.b64encode(event.short.encode()).decode(),
        "detail": [base64.b64encode(line.encode()).decode() for line in event.detail],
        "url": event.url,
        "sourceInfo": _kept(source) or None,
        "range": [{"start": {"line": one.start}, "end": {"line": one.end}} for one in event.ranges],
    }
    return _kept(value)


def _kept(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item not in (None, "", 0, False, [])}


def _time(stamp: float | None) -> str | None:
    """RFC 3339, in UTC."""
    if stamp is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
