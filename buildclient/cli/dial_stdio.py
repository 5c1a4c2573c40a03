"""`buildclient dial-stdio`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from buildclient.api import Builder
from buildclient.base.errors import UsageError
from buildclient.cli.running import run
from buildclient.cli.where import builder_of, complete_value, where_options
from buildclient.contract.platform import Platform
from buildclient.progress.terminal import MODES

__all__ = ["command"]

_QUIET = ("", "none", "quiet")


@click.command("dial-stdio")
@where_options
@click.option(
    "--platform", metavar="OS/ARCH[/VARIANT]", default="", envvar="DOCKER_DEFAULT_PLATFORM",
    help="Of several nodes, the one that builds for this platform.", shell_complete=complete_value,
)  # fmt: skip
@click.option(
    "--progress", metavar="MODE", default="none", help="Any but none: say on standard error what is waited for."
)
@click.option("--routing-key", metavar="KEY", default="", help="The key that leads to a pod (default: this folder).")
def command(platform: str, progress: str, routing_key: str, **flags: Any) -> int:
    """Connect standard input and output to a builder's BuildKit, for tools that speak its protocol.

    The end of standard input ends the connection in that direction; the command ends with the connection.

    \b
    Examples:
      socat UNIX-LISTEN:/tmp/buildkit.sock,fork EXEC:'buildclient dial-stdio --stack dev'
      buildctl --addr unix:///tmp/buildkit.sock debug workers

    Ends with 125 when no builder was reached or the connection broke.
    """
    if progress not in (*_QUIET, *MODES):
        raise UsageError(f"unknown progress mode: {progress}")
    waiting = None
    if progress not in _QUIET:
        from buildclient.cli.inspect import WaitLines

        waiting = WaitLines()
    run(_joined(builder_of(flags), _platform(platform), routing_key, waiting))
    return 0


async def _joined(builder: Builder, platform: Platform | None, key: str, waiting: Any) -> None:
    from buildclient.base.stdio import join_descriptors

    connection = await builder.dial_async(platform, key, waiting)
    try:
        await join_descriptors(connection, sys.stdin.fileno(), sys.stdout.fileno())
    finally:
        await connection.close()


def _platform(text: str) -> Platform | None:
    """The platform that is meant; None for an empty text. Raises UsageError."""
    if not text:
        return None
    from buildclient.request.platforms import read_platforms

    machine = os.uname()
    try:
        found = read_platforms([text], f"{machine.sysname.lower()}/{machine.machine}")
    except UsageError as error:
        raise UsageError(f"--platform: {error.message}") from None
    if len(found) != 1:
        raise UsageError(f"--platform wants one platform, got {text}")
    return found[0]
