"""Chooses the display of a build's progress: plain lines, a live display on a terminal, JSON, or nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from buildclient.base.errors import UsageError
from buildclient.progress.display import Display, shown
from buildclient.progress.events import Event
from buildclient.progress.groups import OFF, groups_of

__all__ = ["MODES", "Display", "choose_mode", "open_display", "shown"]

MODES = ("auto", "plain", "tty", "quiet", "none", "rawjson")


def choose_mode(asked: str, environ: Mapping[str, str], terminal: bool) -> str:
    """The mode that a flag, BUILDKIT_PROGRESS or the terminal asks for. Raises UsageError."""
    mode = asked if asked and asked != "auto" else environ.get("BUILDKIT_PROGRESS") or "auto"
    if mode not in MODES:
        where = "--progress" if mode == asked else "BUILDKIT_PROGRESS"
        raise UsageError(f"{where}: invalid progress mode {mode}: use one of {', '.join(MODES)}")
    if mode == "auto":
        return "tty" if terminal and environ.get("TERM", "dumb") not in ("", "dumb") else "plain"
    if mode == "tty" and not terminal:
        where = "--progress" if mode == asked else "BUILDKIT_PROGRESS"
        raise UsageError(f"{where}: progress mode tty needs a terminal on standard error", hint="use auto or plain")
    return mode


def open_display(
    mode: str,
    out: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    expand_warnings: bool = False,
    summary: bool = True,
) -> Display:
    """The display of a mode.

    With `expand_warnings` it shows the details of warnings too, with `summary` what the build did in its last line;
    BUILDCLIENT_SUMMARY switches that off.
    """
    stream = sys.stderr if out is None else out
    variables = os.environ if environ is None else environ
    if mode in ("quiet", "none"):
        return Display(stream)
    if mode == "rawjson":
        return _JsonDisplay(stream)
    from buildclient.progress.closing import Closing

    closing = Closing(expand_warnings, summary and variables.get("BUILDCLIENT_SUMMARY", "").lower() not in OFF)
    if mode == "tty":
        from buildclient.progress.colours import colours
        from buildclient.progress.tty import LOG_LINES, TtyDisplay

        lines = variables.get("BUILDKIT_TTY_LOG_LINES", "")
        count = int(lines) if lines.isdecimal() and len(lines) < 5 else LOG_LINES
        return TtyDisplay(stream, colours(variables), count, closing)

    from buildclient.progress.plain import PlainDisplay

    return PlainDisplay(stream, closing, groups_of(variables))


class _JsonDisplay(Display):
    """One JSON object a line, as docker buildx writes them."""

    def feed(self, event: Event) -> None:
        import json

        from buildclient.progress.rawjson import status_object

        if value := status_object(event):
            self._out.write(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")

    def end(self, failed: bool) -> None:
        self._out.flush()
