"""What can go wrong with an object, as exceptions whose text is what the user reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from standins.provider.objects import Object, name_of

__all__ = ["Cancelled", "NoMatch", "NotReady", "Partial", "StatusError", "TimedOut", "Unfinished", "Unreachable"]


class Unreachable(Exception):
    """No answer from the apiserver."""


class NoMatch(Exception):
    """The apiserver knows no such kind."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in version "{api_version}"')


class StatusError(Exception):
    """The apiserver refused: its Status object."""

    def __init__(self, code: int, message: str, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.details = code, reason, details or {}

    @classmethod
    def of(cls, code: int, body: bytes) -> StatusError:
        """From an answer's status and body."""
        try:
            status = json.loads(body)
            return cls(code, status["message"], status.get("reason", ""), status.get("details"))
        except (ValueError, KeyError, TypeError):
            return cls(code, body.decode(errors="replace").strip() or f"HTTP status {code}")

    @property
    def missing(self) -> bool:
        """The object, or its namespace, is not there."""
        return self.code == 404

    @property
    def missing_namespace(self) -> bool:
        """The namespace is not there."""
        return self.missing and self.details.get("kind") == "namespaces"

    @property
    def exists(self) -> bool:
        """An object of that name is there already."""
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Another field manager owns a field."""
        return self.code == 409 and not self.exists

    @property
    def forbidden(self) -> bool:
        """We may not."""
        return self.code == 403

    @property
    def no_dry_run(self) -> bool:
        """An admission webhook that can't do dry runs stands in the way."""
        return self.code == 400 and "does not support dry run" in str(self)


class Unfinished(Exception):
    """The object was made or changed, but is not ready: it is kept in the state, marked as failed."""

    def __init__(self, message: str, live: Object, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.live, self.problems = live, list(problems)


class TimedOut(Unfinished):
    """It did not become ready in time."""

    def __init__(self, live: Object, problems: Sequence[str] = ()) -> None:
        super().__init__(f"'{name_of(live)}' timed out waiting to be Ready", live, problems)


class Cancelled(Unfinished):
    """The user cancelled while it was becoming ready."""

    def __init__(self, live: Object, problems: Sequence[str] = ()) -> None:
        super().__init__(f'Resource operation was cancelled for "{name_of(live)}"', live, problems)


class NotReady(Unfinished):
    """Found unready by a refresh."""

    def __init__(self, live: Object, problems: Sequence[str] = ()) -> None:
        super().__init__(f"Resource '{name_of(live)}' was created but failed to initialize", live, problems)


class Partial(Exception):
    """The failure of an operation whose object must be kept: what Pulumi calls an initialization error."""

    def __init__(
        self, message: str, identifier: str, state: dict[str, Any], problems: Sequence[str], inputs: Any = None
    ) -> None:
        super().__init__(message)
        self.identifier, self.state, self.inputs = identifier, state, inputs
        self.reasons = [message, *problems]
