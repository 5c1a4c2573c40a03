"""The flags by which every command finds its builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from buildclient.api import Client, Where
from buildclient.cli.debug import debug_option

__all__ = ["client_of", "where_options"]

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    ("--builder", "NAME", "A builder's name among the project's stacks, or NAMESPACE/NAME in the cluster."),
    ("--builder-file", "FILE", "A file with a builder's output, - for standard input (default $BUILDCLIENT_BUILDER)."),
    ("--from-cluster", "NAMESPACE/NAME", "Read the builder's output from its ConfigMap."),
    ("--stack", "NAME", "The Pulumi stack that provisioned the builder (default: the selected one)."),
    ("--project", "DIR", "The Pulumi project's folder (default: here or above)."),
    ("--context", "NAME", "The kubeconfig's context (default: the one the builder was provisioned with)."),
)
# `build` has an argument of that name: the build's own context.
_DEST = {"--context": "kube_context"}


def where_options(command: _F) -> _F:
    """Adds the flags to a command."""
    command = debug_option(command)
    for flag, metavar, text in reversed(_OPTIONS):
        name = _DEST.get(flag, flag[2:].replace("-", "_"))
        command = click.option(flag, name, metavar=metavar, default="", help=text)(command)
    return command


def client_of(flags: dict[str, Any]) -> Client:
    """A client for the flags, which are taken out of `flags`."""
    return Client(Where(**{name: flags.pop(name) for name in Where._fields}))
