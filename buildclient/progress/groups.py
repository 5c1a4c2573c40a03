"""Marks that fold a step's lines in the log of a CI service.

GitHub: docs.github.com, "Workflow commands", grouping log lines.
GitLab: docs.gitlab.com, "Custom collapsible sections".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

__all__ = ["OFF", "Groups", "groups_of"]

OFF = ("0", "false", "no", "off")
"""Values of a variable that switch something off."""


class Groups(Protocol):
    """Marks of one service."""

    def open(self, title: str) -> str:
        """The line that begins a group, with its end."""

    def close(self) -> str:
        """What ends the group, where one is open."""


def groups_of(environ: Mapping[str, str]) -> Groups | None:
    """The marks of the service that the job runs in; None elsewhere, and where BUILDCLIENT_LOG_GROUPS says no."""
    if environ.get("BUILDCLIENT_LOG_GROUPS", "").lower() in OFF:
        return None
    if environ.get("GITHUB_ACTIONS") == "true":
        return _GitHub()
    return _GitLab() if environ.get("GITLAB_CI") == "true" else None


class _GitHub:
    def __init__(self) -> None:
        self._open = False

    def open(self, title: str) -> str:
        self._open = True
        return f"::group::{title.replace('%', '%25')}\n"

    def close(self) -> str:
        ended, self._open = self._open, False
        return "::endgroup::\n" if ended else ""


class _GitLab:
    def __init__(self) -> None:
        self._open = False
        self._number = 0
        self._unique = f"buildclient_{time.time_ns():x}"

    def open(self, title: str) -> str:
        self._open = True
        self._number += 1
        return f"{self._mark('start', '[collapsed=true]')}{title}\n"

    def close(self) -> str:
        ended, self._open = self._open, False
        return f"{self._mark('end')}\n" if ended else ""

    def _mark(self, kind: str, options: str = "") -> str:
        # A section's name may come once in a log: a step has several, and a job several builds.
        return f"\x1b[0Ksection_{kind}:{int(time.time())}:{self._unique}_{self._number}{options}\r\x1b[0K"
