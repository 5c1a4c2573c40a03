"""Durations as flags, and those that say how long a command waits for another update of its stack."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from buildclient.base.units import parse_duration

__all__ = ["Duration", "lock_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """A Go duration (`90s`, `5m`), or whole seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Raises click's BadParameter."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            return parse_duration(f"{text}s" if text.isdecimal() else text) / 1e9
        except ValueError:
            self.fail(f"{value!r} is no duration: give one such as 90s, 5m or 0s", param, ctx)


def lock_options(function: _F) -> _F:
    """Adds --lock-timeout and --no-wait; the function gets `lock_timeout`, in seconds."""

    @functools.wraps(function)
    def body(*args: Any, lock_timeout: float, no_wait: bool, **options: Any) -> Any:
        return function(*args, lock_timeout=0.0 if no_wait else lock_timeout, **options)

    text = "Fail at once if another update of the stack is under way; as --lock-timeout 0s."
    decorated = click.option("--no-wait", is_flag=True, show_envvar=True, help=text)(body)
    return click.option(
        "--lock-timeout",
        metavar="DURATION",
        type=Duration(),
        default="10m",
        show_default=True,
        show_envvar=True,
        help="How long to wait while another update of the stack is under way.",
    )(decorated)  # type: ignore[return-value]
