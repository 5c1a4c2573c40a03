"""The flags of `builders claims`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["PREFIX", "clear_locks_option", "common", "option", "prune_option", "yes_option"]

_F = TypeVar("_F", bound=Callable[..., Any])
PREFIX = "BUILDERS_CLAIMS"
"""How the variables of the flags begin."""


def option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    """A flag that is also a variable."""
    return click.option(*names, show_envvar=True, **settings)


def common(function: _F) -> _F:
    """Adds what every command takes."""
    for decorate in (
        option(
            "--parallel",
            metavar="N",
            type=click.IntRange(1, 64),
            default=4,
            show_default=True,
            help="How many stacks are worked on at once; each takes about 100 MB.",
        ),
        option("--json", "as_json", is_flag=True, envvar=f"{PREFIX}_JSON", help="Write the result as JSON."),
        option("--only", metavar="TEAM[/NAME]", help="One team, or one of its claims; default: all."),
        option(
            "--project",
            metavar="NAME",
            default="builder-claims",
            show_default=True,
            help="The Pulumi project of the stacks: one for each platform.yaml that shares a backend.",
        ),
        option(
            "--platform",
            "platform_file",
            metavar="FILE",
            default="platform.yaml",
            show_default=True,
            envvar=f"{PREFIX}_PLATFORM",
            help="What the platform team allows.",
        ),
        option(
            "--claims",
            "folder",
            metavar="DIR",
            default="claims",
            show_default=True,
            envvar=f"{PREFIX}_DIR",
            help="The folder of the claims, a file a team.",
        ),
    ):
        function = decorate(function)
    return function


yes_option = option("--yes", "-y", is_flag=True, help="Do not ask.")
prune_option = option("--prune", is_flag=True, help="Delete the builders whose claim is gone.")
clear_locks_option = option(
    "--clear-locks",
    is_flag=True,
    help="Clear the lock of another operation once --lock-timeout is over: only where none can be under way.",
)
