"""Converts BuildKit's protobuf responses to the client's values: progress events, workers, errors."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from buildclient.base.errors import (
    BuildFailed,
    Cancelled,
    ClientError,
    InternalFailure,
    ResourceExhausted,
    UnreachableError,
)
from buildclient.contract.jsontext import read_json
from buildclient.contract.platform import Platform, PlatformError, parse_platform
from buildclient.daemon.rpcerror import RpcError
from buildclient.daemon.worker import Worker
from buildclient.progress.events import Event, Log, SourceRange, Vertex, VertexStatus, Warned
from buildclient.progress.excerpt import excerpt
from buildclient.proto import control_pb2 as pb

__all__ = ["events", "failure", "seconds", "told_by", "workers"]

_TYPE_PREFIX = "github.com/moby/buildkit/"
_FRONTEND_LACKS = {
    "moby.buildkit.frontend.contexts": "current frontend does not support --build-context. Named contexts are "
    "supported since Dockerfile v1.4. Use #syntax directive in Dockerfile or update to latest BuildKit.",
    "moby.buildkit.frontend.gitquerystring": "current frontend does not support Git URLs with query string "
    "components. Git URLs with query string are supported since Dockerfile v1.18 and BuildKit v0.24. Use "
    "BUILDKIT_SYNTAX build-arg, #syntax directive in Dockerfile or update to latest BuildKit.",
}
"""What docker buildx says instead of a capability's name (wrapBuildError in commands/build.go)."""
_KINDS: dict[str, type[ClientError]] = {
    "Internal": InternalFailure,
    "ResourceExhausted": ResourceExhausted,
    "Canceled": Cancelled,
}

_NO_SPACE = "no space left on device"
# BuildKit collects garbage after a build, once a minute at most (throttledGC in control/control.go).
_DISK_FULL = (
    "the disk of the builder's pod is full: BuildKit makes room within a minute of a build's end, `buildclient prune "
    "--all` at once"
)


def events(response: pb.StatusResponse) -> Iterator[Event]:
    """Returns the events in one message of `Control.Status`, vertices first."""
    for v in response.vertexes:
        group = v.progress_group
        yield Vertex(
            digest=v.digest,
            name=v.name,
            inputs=tuple(v.inputs),
            cached=v.cached,
            started=seconds(v, "started"),
            completed=seconds(v, "completed"),
            error=v.error,
            group=group.id,
            group_name=group.name,
            group_weak=group.weak,
        )
    for s in response.statuses:
        yield VertexStatus(
            vertex=s.vertex,
            id=s.id,
            name=s.name,
            current=s.current,
            total=s.total,
            timestamp=seconds(s, "timestamp"),
            started=seconds(s, "started"),
            completed=seconds(s, "completed"),
        )
    for log in response.logs:
        yield Log(vertex=log.vertex, stream=log.stream, data=log.msg, timestamp=seconds(log, "timestamp"))
    for w in response.warnings:
        yield Warned(
            vertex=w.vertex,
            level=w.level,
            short=w.short.decode(errors="replace"),
            detail=tuple(line.decode(errors="replace") for line in w.detail),
            url=w.url,
            filename=w.info.filename,
            source=w.info.data,
            ranges=tuple(SourceRange(r.start.line, r.end.line) for r in w.ranges),
            language=w.info.language,
        )


def workers(response: pb.ListWorkersResponse) -> Sequence[Worker]:
    """Returns the workers in a response of `Control.ListWorkers`."""
    return tuple(_worker(record) for record in response.record)


def failure(error: RpcError, where: str) -> ClientError:
    """Converts a failed solve to an error with docker buildx's text: the daemon's, with the Dockerfile lines it names.

    `where` describes the endpoint, in case the connection broke.
    """
    code, text = error.code, error.text
    told = error.status is not None
    if code == "Unavailable" and not told:
        # The daemon's errors carry details; an error without them comes from the connection.
        return UnreachableError(f"lost the connection to {where}: {text}")
    if code == "DeadlineExceeded" and not told:
        return UnreachableError(f"{where}: the daemon did not answer in time")
    for capability, words in _FRONTEND_LACKS.items():
        if code == "Unimplemented" and f"unsupported frontend capability {capability}" in text:
            lacking = BuildFailed(words)
            lacking.of_build = True
            return lacking
    kind = _KINDS.get(code, BuildFailed)
    if code != "Unknown":
        text = f"{code}: {text}"
    message = f"failed to solve: {text}"
    if issubclass(kind, BuildFailed):
        sources, vertex = told_by(error.status or b"")
        # A status within the message is this client's own answer: then its disk is full.
        full = kind is ResourceExhausted and _NO_SPACE in text and "rpc error: " not in text
        hint = _DISK_FULL if full else ""
        found: ClientError = kind(message, sources=sources, vertex=vertex, hint=hint)
    else:
        found = kind(message)
    found.of_build = True
    return found


def told_by(status: bytes) -> tuple[tuple[str, ...], str]:
    """Returns source excerpts and the digest of the failed step from a google.rpc.Status (JSON in google.rpc.Any)."""
    sources: list[str] = []
    vertex = ""
    try:
        details = pb.Status.FromString(status).details
    except DecodeError:
        return (), ""
    for detail in details:
        name = detail.type_url.removeprefix(_TYPE_PREFIX).removesuffix("+json")
        try:
            body = read_json(detail.value)
        except ValueError:
            continue
        if not isinstance(body, dict):
            continue
        if name == "errdefs.Source" and (text := _source(body)) and text not in sources:
            sources.append(text)
        elif name == "errdefs.Vertex":
            vertex = str(body.get("digest", ""))
    return tuple(sources), vertex


def _worker(record: pb.WorkerRecord) -> Worker:
    return Worker(
        id=record.id,
        labels=dict(record.labels),
        platforms=tuple(_platforms(record)),
        buildkit_version=record.buildkit_version.version,
        gc_policies=tuple(
            {
                "all": policy.all,
                "filters": list(policy.filters),
                "keepDuration": policy.keep_duration,
                "reservedSpace": policy.reserved_space,
                "maxUsedSpace": policy.max_used_space,
                "minFreeSpace": policy.min_free_space,
            }
            for policy in record.gc_policy
        ),
        devices=tuple(device.name for device in record.devices),
    )


def _platforms(record: pb.WorkerRecord) -> Iterator[Platform]:
    """Returns the platforms that a worker reports; skips names that are not a platform, which nobody could request."""
    for one in record.platforms:
        with contextlib.suppress(PlatformError):
            yield parse_platform(str(Platform(one.os, one.architecture, one.variant)))


def _source(body: dict[str, object]) -> str:
    info, ranges = body.get("info"), body.get("ranges")
    if not isinstance(info, dict) or not isinstance(ranges, list):
        return ""
    try:
        lines = [
            SourceRange(int(r.get("start", {}).get("line", 0)), int(r.get("end", {}).get("line", 0)))
            for r in ranges
            if isinstance(r, dict)
        ]
        return excerpt(str(info.get("filename", "")), base64.b64decode(info.get("data", "")), lines)
    except (ValueError, TypeError, AttributeError, OverflowError):
        # Report the error anyway, without its source lines.
        return ""


def seconds(message: Any, field: str) -> float | None:
    """Returns a timestamp field in seconds since the epoch, whatever it is; None if it is not set."""
    if not message.HasField(field):
        return None
    value = getattr(message, field)
    return float(value.seconds + value.nanos / 1e9)
