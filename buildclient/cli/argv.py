"""Command lines as Go's pflag reads them, for click: combined short flags, `-f=VALUE`, `--switch=false`.

Reference: parseLongArg and parseSingleShortArg of spf13/pflag, with its messages. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildclient.base.errors import UsageError
from buildclient.base.gotext import go_quoted, is_bool, parse_bool

__all__ = ["Flag", "read"]


class Flag(NamedTuple):
    """A flag by any of its names."""

    long: str
    """The name that it is passed on by, such as `--tag`."""
    short: str = ""
    """Such as `-t`."""
    switch: bool = False
    """Whether it takes no value."""
    kept: bool = False
    """Whether a switch is passed on with its value, also if that is off."""
    means: str = ""
    """What a switch that is on is passed on as, in place of its name."""

    @property
    def shown(self) -> str:
        """As pflag's messages call it."""
        return f"{self.short}, {self.long}" if self.short else self.long


def read(arguments: Sequence[str], flags: Mapping[str, Flag]) -> list[str]:
    """Returns the arguments with every known flag as `--name=value`, and a switch as `--name` if its last value is on.

    `flags` are by each of their names. Unknown long flags stay as they are. Raises UsageError.
    """
    kept: list[str] = []
    switches: dict[str, bool] = {}
    left = list(reversed(arguments))
    while left:
        argument = left.pop()
        if argument == "--":
            kept += [argument, *reversed(left)]
            break
        if argument.startswith("--"):
            _long(argument, flags, left, kept, switches)
        elif argument.startswith("-") and argument != "-":
            _short(argument[1:], flags, left, kept, switches)
        else:
            kept.append(argument)
    return [*(name for name, on in switches.items() if on), *kept]


def _long(
    argument: str, flags: Mapping[str, Flag], left: list[str], kept: list[str], switches: dict[str, bool]
) -> None:
    name, equals, value = argument.partition("=")
    if len(name) == 2 or name[2] == "-":
        raise UsageError(f"bad flag syntax: {argument}")
    flag = flags.get(name)
    if flag is None:
        kept.append(argument)
    elif flag.switch:
        _switch(flag, value if equals else "true", kept, switches)
    elif equals:
        kept.append(f"{flag.long}={value}")
    elif left:
        kept.append(f"{flag.long}={left.pop()}")
    else:
        raise UsageError(f"flag needs an argument: {name}")


def _short(
    letters: str, flags: Mapping[str, Flag], left: list[str], kept: list[str], switches: dict[str, bool]
) -> None:
    while letters:
        flag = flags.get(f"-{letters[0]}")
        rest = letters[1:]
        if flag is None:
            raise UsageError(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
        if len(rest) > 1 and rest[0] == "=":
            if flag.switch:
                _switch(flag, rest[1:], kept, switches)
            else:
                kept.append(f"{flag.long}={rest[1:]}")
            return
        if not flag.switch:
            if not rest and not left:
                raise UsageError(f"flag needs an argument: '{letters[0]}' in -{letters}")
            kept.append(f"{flag.long}={rest or left.pop()}")
            return
        _switch(flag, "true", kept, switches)
        letters = rest


def _switch(flag: Flag, value: str, kept: list[str], switches: dict[str, bool]) -> None:
    if not is_bool(value):
        problem = f"strconv.ParseBool: parsing {go_quoted(value)}: invalid syntax"
        raise UsageError(f"invalid argument {go_quoted(value)} for {go_quoted(flag.shown)} flag: {problem}")
    if flag.means:
        kept += [flag.means] if parse_bool(value) else []
    elif flag.kept:
        kept.append(f"{flag.long}={value}")
    else:
        switches[flag.long] = parse_bool(value)
