"""The records that a daemon keeps of its builds: lists, logs, attachments, removal.

Reference: `ListenBuildHistory`, `UpdateBuildHistory` and `Status` of api/services/control/control.proto of BuildKit;
containerd's content service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from buildclient.base.errors import BuildFailed
from buildclient.daemon.buildname import build_name
from buildclient.daemon.channel import Channel
from buildclient.daemon.query import Query, attributes, server_stream, stamp, unary
from buildclient.daemon.status import events, told_by
from buildclient.progress.events import EventSink
from buildclient.proto import control_pb2
from buildclient.proto import history_pb2 as pb

__all__ = [
    "Attachment",
    "BuildRecord",
    "build_records",
    "content",
    "read_sources",
    "remove_record",
    "replay",
    "save_content",
]

_CONTROL = "/moby.buildkit.v1.Control/"
_CONTENT = "/containerd.services.content.v1.Content/Read"
_DELETED = 2
_CANCELED = 1
"""gRPC's code of a cancelled call."""
_PREDICATE = "in-toto.io/predicate-type"
_MAX_ERROR = 16 << 20
"""Bytes of an error with its details."""


class Attachment(NamedTuple):
    """Something kept with a record: a result, an attestation, the log."""

    digest: str
    type: str
    """The predicate's type of an attestation, else the media type."""
    size: int
    """In bytes."""
    platform: str = ""
    media_type: str = ""
    annotations: Mapping[str, str] = {}


class BuildRecord(NamedTuple):
    """One build, as its daemon recorded it. Times are seconds since the epoch on the daemon's clock."""

    ref: str
    attrs: Mapping[str, str] = {}
    """The frontend's attributes, such as `target` and `build-arg:…`."""
    created: float = 0.0
    completed: float | None = None
    """None while the build runs."""
    error: str = ""
    canceled: bool = False
    total_steps: int = 0
    completed_steps: int = 0
    cached_steps: int = 0
    warnings: int = 0
    attachments: tuple[Attachment, ...] = ()
    logs: Attachment | None = None
    error_details: Attachment | None = None
    """A google.rpc.Status with the Dockerfile's lines and the step that failed."""
    exporters: tuple[str, ...] = ()
    raw: Any = None
    """The message itself, for an export."""

    @property
    def name(self) -> str:
        """What the build is called (`buildname`)."""
        return build_name(self.attrs)

    @property
    def status(self) -> str:
        """`Running`, `Completed`, `Canceled` or `Error`."""
        if self.completed is None:
            return "Running"
        if self.canceled or "context canceled" in self.error:
            return "Canceled"
        return "Error" if self.error else "Completed"

    def lasted(self, now: float) -> float:
        """Returns how long it took, or has taken until `now`, in seconds."""
        return max(0.0, (self.completed or now) - self.created)


def build_records(ref: str = "", *, active_only: bool = False) -> Query[tuple[BuildRecord, ...]]:
    """Returns the records of all builds, or of one `ref`, in the daemon's order."""

    async def ask(channel: Channel, timeout: float) -> tuple[BuildRecord, ...]:
        call = server_stream(channel, f"{_CONTROL}ListenBuildHistory", pb.BuildHistoryEvent)
        request = pb.BuildHistoryRequest(ref=ref, active_only=active_only, early_exit=True)
        found: dict[str, BuildRecord] = {}
        async for event in call(request, timeout=timeout):
            if event.type == _DELETED:
                found.pop(event.record.ref, None)
            elif event.record.ref:
                found[event.record.ref] = _record(event.record)
        return tuple(found.values())

    return ask


def remove_record(ref: str) -> Query[None]:
    """Removes a record with its log and attachments."""

    async def ask(channel: Channel, timeout: float) -> None:
        call = unary(channel, f"{_CONTROL}UpdateBuildHistory", pb.UpdateBuildHistoryResponse)
        await call(pb.UpdateBuildHistoryRequest(ref=ref, delete=True), timeout=timeout)

    return ask


def replay(ref: str, sink: EventSink) -> Query[None]:
    """Calls `sink` with the events of a build: all of an ended one, and of a running one as they come."""

    async def ask(channel: Channel, timeout: float) -> None:
        call = server_stream(channel, f"{_CONTROL}Status", control_pb2.StatusResponse)
        async for response in call(control_pb2.StatusRequest(ref=ref), timeout=timeout):
            for event in events(response):
                sink(event)

    return ask


def content(digest: str, most: int) -> Query[bytes]:
    """Returns something kept with a record, of at most `most` bytes. Raises BuildFailed if it is larger."""

    async def ask(channel: Channel, timeout: float) -> bytes:
        data = bytearray()
        await save_content(digest, most, data.extend)(channel, timeout)
        return bytes(data)

    return ask


def save_content(digest: str, most: int, write: Callable[[bytes], object]) -> Query[None]:
    """Calls `write` with the pieces of something kept with a record. Raises BuildFailed if that has over `most` bytes,
    or other bytes than the digest says.
    """

    async def ask(channel: Channel, timeout: float) -> None:
        read = server_stream(channel, _CONTENT, pb.ReadContentResponse)
        size, seen = 0, hashlib.sha256()
        async for piece in read(pb.ReadContentRequest(digest=digest), timeout=timeout):
            size += len(piece.data)
            if size > most:
                raise BuildFailed(f"{digest} has more than {most} bytes")
            seen.update(piece.data)
            write(piece.data)
        if digest != f"sha256:{seen.hexdigest()}":
            raise BuildFailed(f"the daemon sent other bytes than {digest}")

    return ask


def read_sources(details: Attachment) -> Query[tuple[tuple[str, ...], str]]:
    """Returns the lines of the Dockerfile that a failed build names, and the digest of the step that failed."""

    async def ask(channel: Channel, timeout: float) -> tuple[tuple[str, ...], str]:
        return told_by(await content(details.digest, _MAX_ERROR)(channel, timeout))

    return ask


def _record(message: Any) -> BuildRecord:
    attachments = [*_attachments(message.result, "")] if message.HasField("result") else []
    for platform, result in sorted(message.results.items()):
        attachments += _attachments(result, platform)
    return BuildRecord(
        ref=message.ref,
        attrs=attributes(message.frontend_attrs),
        created=stamp(message, "created_at") or 0.0,
        completed=stamp(message, "completed_at"),
        error=message.error.message if message.HasField("error") else "",
        canceled=message.error.code == _CANCELED,
        total_steps=message.total_steps,
        completed_steps=message.completed_steps,
        cached_steps=message.cached_steps,
        warnings=message.warnings,
        attachments=tuple(sorted(attachments, key=lambda one: (one.platform, one.type))),
        logs=_attachment(message.logs, "") if message.HasField("logs") else None,
        error_details=_attachment(message.external_error, "") if message.HasField("external_error") else None,
        exporters=tuple(one.type for one in message.exporters),
        raw=message,
    )


def _attachments(result: Any, platform: str) -> list[Attachment]:
    results = [result.results[number] for number in sorted(result.results)]
    return [_attachment(one, platform) for one in (*result.attestations, *results)]


def _attachment(message: Any, platform: str) -> Attachment:
    annotations = dict(message.annotations)
    kind = annotations.get(_PREDICATE, message.media_type)
    return Attachment(message.digest, kind, message.size, platform, message.media_type, annotations)
