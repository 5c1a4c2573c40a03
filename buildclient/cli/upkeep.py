"""What the commands that look after a builder have in common: flags, times, and what is said of the unreachable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted
from buildclient.base.units import human_duration, parse_bytes, parse_duration
from buildclient.base.visible import visible
from buildclient.cli.where import complete_value
from buildclient.upkeep import Pick

__all__ = [
    "ago",
    "day",
    "duration_of",
    "instant",
    "pick_of",
    "pick_options",
    "seconds_of",
    "shape_of",
    "shape_options",
    "size_of",
    "told_missed",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_MISSED = 125


def pick_options(command: _F) -> _F:
    """Adds `--node` and `--pod`."""
    command = click.option("--pod", metavar="NAME", default="", help="Only this pod.")(command)
    return click.option(
        "--node", metavar="NAME", default="", help="Only the pods of this node.", shell_complete=complete_value
    )(command)


def pick_of(flags: dict[str, Any]) -> Pick:
    """The pods that are meant; the flags are taken out of `flags`."""
    return Pick(flags.pop("node"), flags.pop("pod"))


def shape_options(plain: str) -> Callable[[_F], _F]:
    """Adds `--format` and `--json`, short for `--format json`."""

    def add(command: _F) -> _F:
        command = click.option("--json", "as_json", is_flag=True, help="Short for --format json.")(command)
        text = f"{plain}, json, or a template of fields such as '{{{{.ID}}}}'."
        return click.option("--format", "shape", metavar="FORMAT", default="", help=text)(command)

    return add


def shape_of(flags: dict[str, Any], plain: str) -> str:
    """The shape that is asked for; the flags are taken out of `flags`. Raises UsageError."""
    shape, as_json = flags.pop("shape"), flags.pop("as_json")
    if as_json and shape not in ("", "json"):
        raise UsageError("--json and --format cannot be used together")
    return "json" if as_json else shape or plain


def seconds_of(flag: str, text: str) -> float:
    """The seconds of a duration flag; a year for none. Raises UsageError."""
    return duration_of(flag, text) or 365 * 86400.0


def duration_of(flag: str, text: str) -> float:
    """The seconds of a duration flag, as it stands there. Raises UsageError."""
    try:
        return parse_duration(text) / 1e9
    except ValueError:
        raise UsageError(
            f"invalid argument {go_quoted(text)} for {go_quoted(flag)} flag: time: invalid duration {go_quoted(text)}"
        ) from None


def size_of(flag: str, text: str) -> int:
    """The bytes of a size flag. Raises UsageError."""
    try:
        return parse_bytes(text) if text else 0
    except ValueError:
        raise UsageError(
            f"invalid argument {go_quoted(text)} for {go_quoted(flag)} flag: invalid size: '{text}'"
        ) from None


def ago(moment: float | None) -> str:
    """How long ago something was; empty for never."""
    return "" if moment is None else f"{human_duration(max(0.0, time.time() - moment))} ago"


def day(moment: float | None) -> str:
    """A time as Go prints it."""
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")


def told_missed(missed: Sequence[str]) -> int:
    """Says on standard error who could not be asked; the exit status that follows."""
    for text in dict.fromkeys(missed):
        print(f"ERROR: {visible(text)}", file=sys.stderr)
    return _MISSED if missed else 0


def instant(moment: float) -> str:
    """A time as JSON has it (RFC 3339)."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
