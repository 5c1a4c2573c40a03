"""What every operation is told, how it fails, and the texts of failures that several share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from standins.provider.errors import StatusError, Unfinished
from standins.provider.objects import Object

__all__ = ["APPLY", "Asked", "Failed", "explained", "left_of"]

APPLY: Final = "application/apply-patch+yaml"
"""The content type of server-side apply."""

_CONFLICT_HELP = (
    "server-side apply field conflict detected, see https://www.pulumi.com/registry/packages/kubernetes/"
    "how-to-guides/managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources "
    "for troubleshooting help"
)


class Failed(Exception):
    """The operation failed, and the object is as it was (or not there)."""


@dataclass(frozen=True)
class Asked:
    """What every operation is told."""

    urn: str
    timeout: float = 0.0
    """Seconds; 0: the default."""
    preview: bool = False

    def dry_run(self) -> dict[str, str]:
        """The query parameter of a preview."""
        return {"dryRun": "All"} if self.preview else {}


def left_of(error: Exception, live: Object) -> tuple[Object, Sequence[str]]:
    """The newest version known after a failed wait, and what stood in the way."""
    return (error.live, error.problems) if isinstance(error, Unfinished) else (live, [])


def explained(error: StatusError, manager: str) -> StatusError:
    """A conflict with what to read about it; any other error as it is."""
    if not error.conflict:
        return error
    text = f'{_CONFLICT_HELP}\nThe resource managed by field manager "{manager}" had an apply conflict: {error}'
    return StatusError(error.code, text, error.reason, error.details)
