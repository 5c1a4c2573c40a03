"""`buildclient inspect`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from buildclient.base.visible import one_line
from buildclient.cli.running import run
from buildclient.cli.where import builder_of, complete_value, format_option, where_options
from buildclient.kube.pod import Pod, by_reason

__all__ = ["WaitLines", "command"]


@click.command("inspect")
@click.argument("name", metavar="[NAME]", default="", shell_complete=complete_value)
@where_options
@click.option("--bootstrap", is_flag=True, help="Wait until every pod is ready.")
@format_option("text")
def command(name: str, bootstrap: bool, shape: str, **flags: Any) -> int:
    """Show a builder: nodes, pods, Kubernetes nodes, and the platforms BuildKit really reports.

    \b
    Examples:
      buildclient inspect --bootstrap
      buildclient inspect buildkit/kube --format json

    Ends with 125 when no node was reached or, with --bootstrap, a pod did not become ready in time.
    """
    from buildclient.nodes.views import inspect_lines, status_of, to_json

    flags["builder"] = name or flags["builder"]
    view = run(builder_of(flags).inspect_async(bootstrap=bootstrap, waiting=WaitLines()))
    if shape == "json":
        import json

        print(json.dumps(to_json(view), indent=2))
    else:
        print("\n".join(inspect_lines(view)))
    lost = all(status_of(node) == "error" for node in view.nodes)
    return 125 if view.error or lost or (bootstrap and any(node.error for node in view.nodes)) else 0


class WaitLines:
    """Says on standard error, once each, what the pods are waiting for."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, node: str, pods: Sequence[Pod]) -> None:
        for who, why in by_reason([pod for pod in pods if not pod.ready]):
            line = f"{node}: waiting for {who}: {why}"
            if line not in self._said:
                self._said.add(line)
                print(one_line(line), file=sys.stderr)
