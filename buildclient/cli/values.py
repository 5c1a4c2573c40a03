"""What may stand as the value of `buildclient`'s flags, for completion. Imported only when a shell asks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from buildclient.contract.output import BuilderOutput, OutputError
from buildclient.contract.patterns import pattern
from buildclient.progress.terminal import MODES
from buildclient.request.resources import RESOURCES
from buildclient.shell.completion import files, folders, project_of, stacks, starting

__all__ = ["value"]

_PLATFORMS = (
    *("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x"),
    *("linux/riscv64", "linux/loong64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64", "local"),
)
_OUTPUTS = ("type=image", "type=registry", "type=oci", "type=docker", "type=tar", "type=local", "type=cacheonly")
_STAGE = pattern(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*\S+[ \t]+AS[ \t]+(\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_MOST_READ = 1 << 20
"""Bytes of a Dockerfile that are searched for stages."""


def _builders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return starting(incomplete, sorted({output.name for output in _outputs(ctx)}))


def _contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from buildclient.kube.kubeconfig import load_kubeconfig

    return starting(incomplete, sorted(load_kubeconfig(os.environ).contexts))


def _platforms(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One of a list with commas; those of the project's builders stand first."""
    before, comma, _ = incomplete.rpartition(",")
    declared = {str(one): None for output in _outputs(ctx) for node in output.nodes for one in node.platforms}
    listed = before.split(",")
    names = [name for name in dict.fromkeys([*declared, *_PLATFORMS]) if name not in listed]
    return starting(incomplete, [f"{before}{comma}{name}" for name in names])


def _stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names in the Dockerfile that the line means."""
    path = ctx.params.get("file") or os.path.join(ctx.params.get("context") or ".", "Dockerfile")
    if not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as source:
        return starting(incomplete, dict.fromkeys(_STAGE.findall(source.read(_MOST_READ))))


def _destinations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """An exporter's type, or a folder."""
    if incomplete.startswith("type"):
        return starting(incomplete, _OUTPUTS)
    return [*starting(incomplete, _OUTPUTS), CompletionItem(incomplete, type="dir")]


def _one_of(*names: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    return lambda ctx, param, incomplete: starting(incomplete, names)


_VALUES: dict[str, Callable[[click.Context, click.Parameter, str], list[CompletionItem]]] = {
    "allow": _one_of("network.host", "security.insecure", "buildx.local.delete"),
    "attest": _one_of("type=provenance", "type=sbom"),
    "builder": _builders,
    "builder_file": files,
    "call": _one_of("check", "check,format=json", "outline", "outline,format=json", "targets", "targets,format=json"),
    "context": folders,
    "file": files,
    "iidfile": files,
    "kube_context": _contexts,
    "metadata_file": files,
    "name": _builders,
    "network": _one_of("default", "host", "none"),
    "output": _destinations,
    "platform": _platforms,
    "progress": _one_of(*MODES),
    "project": folders,
    "provenance": _one_of("false", "mode=max", "mode=min", "true"),
    "resource": _one_of(*(f"{name}=" for name in RESOURCES)),
    "sbom": _one_of("false", "true"),
    "stack": stacks,
    "target": _stages,
}
"""By the name that click knows a flag or an argument by."""


def value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may stand there; nothing where anything may, or where this machine does not know."""
    found = _VALUES.get(param.name or "")
    return found(ctx, param, incomplete) if found else []


def _outputs(ctx: click.Context) -> list[BuilderOutput]:
    project = project_of(ctx)
    found = []
    for output in project.outputs_on_disk() if project else ():
        try:
            found.append(BuilderOutput.from_json(output))
        except OutputError:
            continue
    return found
