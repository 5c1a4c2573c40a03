"""`buildclient stop`."""

from __future__ import annotations

from typing import Any

import click

from buildclient.api import Builder
from buildclient.base.errors import UsageError
from buildclient.cli.running import run
from buildclient.cli.upkeep import duration_of, told_missed
from buildclient.cli.where import builder_of, complete_value, where_options
from buildclient.upkeep import Pick, stop, stop_if_idle

__all__ = ["command"]


@click.command("stop")
@click.argument("name", metavar="[NAME]", default="", shell_complete=complete_value)
@where_options
@click.option("--node", metavar="NAME", default="", help="Only this node.", shell_complete=complete_value)
@click.option("-f", "--force", is_flag=True, help="Even if builds are running.")
@click.option("--if-idle", "idle", metavar="DURATION", default="", help="Only nodes that have built nothing so long.")
def command(name: str, node: str, force: bool, idle: str, **flags: Any) -> int:
    """Scale a builder's workloads to no pods. The next build, or inspect --bootstrap, starts them again.

    \b
    Examples:
      buildclient stop
      buildclient stop buildkit/kube --node builder-arm64
      buildclient stop --if-idle 30m

    It takes the right to get and patch the subresource scale. A cache without a volume of its own is lost.
    """
    flags["builder"] = name or flags["builder"]
    if idle:
        if force:
            raise UsageError("--if-idle and --force cannot be used together")
        return _if_idle(builder_of(flags), Pick(node), duration_of("--if-idle", idle))
    for stopped, replicas in run(stop(builder_of(flags), Pick(node), force=force)):
        print(f"{stopped}: {_told(replicas)}")
    return 0


def _if_idle(builder: Builder, pick: Pick, seconds: float) -> int:
    rests = run(stop_if_idle(builder, seconds, pick))
    for rest in rests:
        if not rest.failed:
            print(f"{rest.node}: {_told(rest.stopped) if not rest.busy else f'left running: {rest.busy}'}")
    return told_missed([f"{rest.node}: left running: {rest.failed}" for rest in rests if rest.failed])


def _told(replicas: int) -> str:
    return f"stopped {replicas} pods" if replicas else "had no pods"
