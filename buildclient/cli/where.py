"""The flags by which every command finds its builder."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from buildclient.api import Builder
from buildclient.cli.debug import debug_option
from buildclient.discovery.where import Where
from buildclient.shell.clickflags import FormatType, SpelledOption

__all__ = ["builder_of", "complete_value", "format_option", "where_options", "where_text"]

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    (
        "--addr",
        "ADDRESS…",
        "A BuildKit at an address: tcp://, unix://, ssh:// or kube-pod://; several are nodes of one builder.",
    ),
    ("--builder", "NAME", "A builder's name among the project's stacks, or NAMESPACE/NAME in the cluster."),
    ("--builder-file", "FILE", "A file with a builder's output, - for standard input (default $BUILDCLIENT_BUILDER)."),
    ("--from-cluster", "NAMESPACE/NAME", "Read the builder's output from its ConfigMap."),
    ("--stack", "NAME", "The Pulumi stack that provisioned the builder (default: the selected one)."),
    ("--project", "DIR", "The Pulumi project's folder (default: here or above)."),
    ("--context", "NAME", "The kubeconfig's context (default: the one the builder was provisioned with)."),
)
# `build` has an argument of that name: the build's own context.
_DEST = {"--context": "kube_context"}
# As `builders` has them.
_ALSO = {"--stack": "-s", "--project": "-C"}


def where_options(command: _F) -> _F:
    """Adds the flags to a command."""
    command = debug_option(command)
    for flag, metavar, text in reversed(_OPTIONS):
        name = _DEST.get(flag, flag[2:].replace("-", "_"))
        names = [flag, *([_ALSO[flag]] if flag in _ALSO else []), name]
        several = "…" in metavar
        command = click.option(
            *names, cls=SpelledOption, metavar=metavar, multiple=several, default=() if several else "", help=text,
            shell_complete=complete_value,
        )(command)  # fmt: skip
    return command


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    """What may stand as a flag's value, for a shell that completes a line."""
    from buildclient.cli.values import value

    return value(ctx, param, incomplete)


def format_option(plain: str) -> Callable[[_F], _F]:
    """Adds `--format`; `plain` is what the command calls a result that is no JSON."""
    names = ("--format", "--output", "-o", "shape")
    return click.option(*names, cls=SpelledOption, type=FormatType(plain), default=plain, help="How to print it.")


def where_text(flags: Mapping[str, Any]) -> str:
    """The flags that were given, as they are written in a shell."""
    words = []
    for flag, *_ in _OPTIONS:
        value = flags[_DEST.get(flag, flag[2:].replace("-", "_"))]
        for one in value if isinstance(value, tuple) else (value,):
            words += [flag, one] if one else []
    return shlex.join(words)


def builder_of(flags: dict[str, Any], environ: Mapping[str, str] | None = None) -> Builder:
    """The builder of the flags, which are taken out of `flags`; `--builder` may also stand before the command.

    `environ` replaces the process's environment.
    """
    context = click.get_current_context(silent=True)
    flags["builder"] = flags["builder"] or (context.meta.get("buildclient.builder", "") if context else "")
    where = Where(**{name: flags.pop(name) for name in Where._fields})
    return Builder(where) if environ is None else Builder(where, environ=environ)
