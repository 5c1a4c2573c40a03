"""`-D` and BUILDCLIENT_DEBUG: what the client does, on standard error, one line an event.

Every room logs to a logger of its own below `buildclient` (`buildclient.kube`, `buildclient.registry`, …). No secret is
logged: not a token, a password, a header, the output of a helper, a build argument or a URL's user part.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import click

from buildclient.base import log
from buildclient.shell.clickflags import SpelledOption

__all__ = ["asked", "debug_option", "disable", "enable", "enabled", "held"]

_LOG = log.LineLog("buildclient")


def asked(environ: Mapping[str, str]) -> bool:
    """Whether BUILDCLIENT_DEBUG asks for the log."""
    return log.asked(environ, "BUILDCLIENT_DEBUG")


def enabled() -> bool:
    """Whether the log is on."""
    return _LOG.enabled


def enable() -> None:
    """Switches the log on."""
    _LOG.enable()


def disable() -> None:
    """Switches the log off."""
    _LOG.disable()


def held(hold: bool) -> AbstractContextManager[None]:
    """Keeps lines back until the block's end, as docker buildx does, where they would tear a live display."""
    return _LOG.held(hold)


def debug_option(command: Any) -> Any:
    """Adds `-D`, which may stand before the command or behind it."""

    def given(_: click.Context, __: click.Parameter, value: bool) -> None:
        if value:
            enable()

    text = "Log what is done to standard error, and show where an error arose (also BUILDCLIENT_DEBUG=1)."
    names = ("-D", "--debug", "--traceback", "debug")
    settings: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True, "callback": given}
    return click.option(*names, cls=SpelledOption, shown=2, help=text, **settings)(command)
