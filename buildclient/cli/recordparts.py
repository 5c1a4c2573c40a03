"""What `buildclient history` reads from a daemon besides a record: attachments, and the step that failed."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from buildclient.base.errors import UsageError
from buildclient.base.visible import visible
from buildclient.cli.records import ATTACHMENT_TYPES
from buildclient.cli.upkeep import told_missed
from buildclient.daemon.records import read_sources, save_content
from buildclient.progress.events import Event, Log, Vertex
from buildclient.upkeep import Pick, ask, replay_record

if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.daemon.records import Attachment
    from buildclient.upkeep import FoundRecord

__all__ = ["choose_attachment", "read_failure", "save_attachment", "to_stdout"]

_LOG_LINES = 16
"""Lines of the failed step's output that are shown, from its end."""
_MAX_SIZE = 1 << 30
"""Bytes of an attachment."""


def choose_attachment(attachments: Sequence[Attachment], kind: str, platform: str, ref: str) -> str:
    """Returns the digest of the first attachment of a type and a platform. Raises UsageError."""
    wanted = ATTACHMENT_TYPES.get(kind, (kind,))
    for one in attachments:
        if (not platform or one.platform == platform) and (not kind or one.type in wanted):
            return one.digest
    raise UsageError(f'no matching attachment found for ref "{ref}"')


async def save_attachment(builder: Builder, found: FoundRecord, digest: str, write: Callable[[bytes], object]) -> int:
    """Passes an attachment's bytes to `write`; returns the exit status, 125 if its pod could not be asked."""
    done = await ask(builder, save_content(digest, _MAX_SIZE, write), Pick(found.node, found.pod))
    return told_missed(done.missed)


def to_stdout() -> Callable[[bytes], object]:
    """Returns what writes a daemon's bytes to standard output; on a terminal, which they could steer, as text."""
    if not sys.stdout.isatty():
        return sys.stdout.buffer.write
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    return lambda data: sys.stdout.write(visible(decode(data)))


async def read_failure(builder: Builder, found: FoundRecord) -> tuple[tuple[str, ...], tuple[str, Sequence[str]]]:
    """Returns the Dockerfile's lines of a failed build, and name and last lines of the step that failed.

    All are empty for a build that did not fail. Raises ClientError.
    """
    if found.record.error_details is None:
        return (), ("", ())
    told = await ask(builder, read_sources(found.record.error_details), Pick(found.node, found.pod))
    if not told.answers:
        return (), ("", ())
    sources, vertex = told.answers[0].value
    name, data = "", bytearray()

    def take(event: Event) -> None:
        nonlocal name
        if isinstance(event, Vertex) and event.digest == vertex:
            name = event.name
        elif isinstance(event, Log) and event.vertex == vertex:
            data.extend(event.data)
            del data[: max(0, len(data) - (1 << 20))]

    await replay_record(builder, found, take)
    lines = data.decode(errors="replace").splitlines()
    return sources, (name, lines[-_LOG_LINES:])
