"""`buildclient stop`."""

from __future__ import annotations

from typing import Any

import click

from buildclient.cli.running import run
from buildclient.cli.where import builder_of, complete_value, where_options
from buildclient.upkeep import Pick, stop

__all__ = ["command"]


@click.command("stop")
@click.argument("name", metavar="[NAME]", default="", shell_complete=complete_value)
@where_options
@click.option("--node", metavar="NAME", default="", help="Only this node.", shell_complete=complete_value)
@click.option("-f", "--force", is_flag=True, help="Even if builds are running.")
def command(name: str, node: str, force: bool, **flags: Any) -> int:
    """Scale a builder's workloads to no pods. The next build, or inspect --bootstrap, starts them again.

    \b
    Examples:
      buildclient stop
      buildclient stop buildkit/kube --node builder-arm64

    It takes the right to get and patch the subresource scale. A cache without a volume of its own is lost.
    """
    flags["builder"] = name or flags["builder"]
    for stopped, replicas in run(stop(builder_of(flags), Pick(node), force=force)):
        print(f"{stopped}: {f'stopped {replicas} pods' if replicas else 'had no pods'}")
    return 0
