"""`buildclient ls`."""

from __future__ import annotations

from typing import Any

import click

from buildclient.cli.running import run
from buildclient.cli.where import builder_of, format_option, where_options

__all__ = ["command"]


@click.command("ls")
@where_options
@format_option("table")
def command(shape: str, **flags: Any) -> int:
    """List builders: their nodes, which pods are ready, and what BuildKit reports.

    Without flags, the builders of all stacks of the Pulumi project. A star marks the builder that is taken where none
    is named, and platforms that are declared. Of a node with more than eight ready pods, eight are asked for their
    version and platforms; `inspect` asks all.

    \b
    Examples:
      buildclient ls
      buildclient ls --from-cluster buildkit/kube --format json
    """
    from buildclient.nodes.views import ls_lines, to_json

    views = run(builder_of(flags).ls_async())
    if shape == "json":
        import json

        print(json.dumps([to_json(view) for view in views], indent=2))
    else:
        print("\n".join(ls_lines(views)))
    return 0
