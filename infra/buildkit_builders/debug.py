"""`builders -D` and BUILDERS_DEBUG: what is done and why, on standard error, one line an event.

Two processes tell it: the command that drives Pulumi (which commands, on which stack, how long), and the program that
Pulumi runs (which kubeconfig, context and provider), whose lines Pulumi shows among its diagnostics. The variable
switches both on; the command hands it to Pulumi. No secret is logged: not a kubeconfig's contents, a config value or a
URL's user part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildclient.base.log import LineLog, asked

__all__ = ["VARIABLE", "disable", "enable", "enable_if_asked", "enabled", "named"]

VARIABLE = "BUILDERS_DEBUG"
_FLAGS = frozenset(["-D", "--traceback", "--debug"])
# the client's rooms on the way to a cluster tell of requests to its API
_LOG = LineLog("buildkit_builders", "buildclient")
_VALUES_AFTER = frozenset(["config", "login"])
"""Commands of Pulumi whose arguments may be secrets."""


def enabled() -> bool:
    """Whether the log is on."""
    return _LOG.enabled


def enable() -> None:
    """Switches the log on."""
    _LOG.enable()


def disable() -> None:
    """Switches the log off."""
    _LOG.disable()


def enable_if_asked(environ: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
    """Switches the log on if the variable or a flag among `arguments` asks for it."""
    if asked(environ, VARIABLE) or not _FLAGS.isdisjoint(arguments):
        _LOG.enable()


def named(arguments: Sequence[str]) -> str:
    """A command of Pulumi as it may be logged: without arguments that may hold a secret."""
    if arguments and arguments[0] in _VALUES_AFTER:
        return f"pulumi {arguments[0]} …"
    return " ".join(["pulumi", *arguments])
