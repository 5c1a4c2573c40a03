"""A problem of a claim or of the platform's rules, with its file and line."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ERROR", "OFF", "SEVERITIES", "WARNING", "Problem"]

ERROR, WARNING, OFF = "error", "warning", "off"
SEVERITIES = (ERROR, WARNING, OFF)


class Problem(NamedTuple):
    """One problem: its file and line, and what is wrong and would be allowed."""

    file: str
    line: int
    """Counted from 1; 0 where the whole file is meant."""
    text: str
    """In one line: the key, the value that was given, what is allowed."""
    severity: str = ERROR
    """`error`, which keeps the claim from being applied, or `warning`."""
    claim: str = ""
    """The claim as `team/name`; empty where it is not known, and for problems of the platform's file."""

    def __str__(self) -> str:
        return self._line("warning: " if self.severity == WARNING else "")

    @property
    def unmarked(self) -> str:
        """Place, claim and text, for a line that says the severity itself."""
        return self._line("")

    def _line(self, mark: str) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        claim = f"{self.claim}: " if self.claim else ""
        return f"{place}: {mark}{claim}{self.text}"
