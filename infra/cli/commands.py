"""The commands of `builders`. Pulumi is imported by a command's body, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from infra.automation import Project, Stack
    from infra.results import Step

__all__ = ["COMMANDS"]

_F = TypeVar("_F", bound=Callable[..., Any])
COMMANDS: dict[str, click.Command] = {}


def _command(function: _F) -> _F:
    name = function.__name__.removesuffix("_")
    COMMANDS[name] = click.command(name)(function)
    return function


def _stack_options(function: _F) -> _F:
    function = click.option("--stack", "-s", metavar="NAME", help="The stack; default: the selected one.")(function)
    return _common_options(function)


def _common_options(function: _F) -> _F:
    function = click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text")(function)
    return click.option(
        "--project", "-C", metavar="DIR", default=".", help="A folder of the Pulumi project; default: here."
    )(function)


_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@_command
@_stack_options
@click.option("--refresh", is_flag=True, help="Compare with the cluster as it is.")
@click.option("--expect-no-changes", is_flag=True, help="End with status 1 if anything would change.")
def preview(project: str, stack: str | None, output: str, refresh: bool, expect_no_changes: bool) -> int:
    """Show what `up` would do."""
    found = _stack(project, stack).preview(refresh=refresh, on_output=_progress)
    _report(output, stack=found.stack, steps=found.steps, verb="would")
    if expect_no_changes and found.steps:
        raise click.ClickException(f"{len(found.steps)} resources of stack {found.stack} would change")
    return 0


@_command
@_stack_options
@click.option("--refresh", is_flag=True, help="Look at the cluster first.")
@_yes
def up(project: str, stack: str | None, output: str, refresh: bool, yes: bool) -> int:
    """Make the cluster as the stack says, and wait until the builder is ready."""
    chosen = _stack(project, stack)
    if not yes:
        planned = chosen.preview(refresh=refresh, on_output=_progress)
        _confirm(f"Make these {len(planned.steps)} changes to stack {chosen.name}?")
    done = chosen.up(refresh=refresh, on_output=_progress)
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds, outputs=dict(done.outputs))
    return 0


@_command
@_stack_options
@_yes
def refresh(project: str, stack: str | None, output: str, yes: bool) -> int:
    """Take the cluster as it is into the stack's state."""
    chosen = _stack(project, stack)
    if not yes:
        _confirm(f"Overwrite the state of stack {chosen.name} by what the cluster has?")
    done = chosen.refresh(on_output=_progress)
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds)
    return 0


@_command
@_stack_options
def drift(project: str, stack: str | None, output: str) -> int:
    """Show where the cluster is no longer as the stack left it: status 0 nowhere, 3 somewhere, 1 error."""
    found = _stack(project, stack).drift(on_output=_progress)
    _report(output, stack=found.stack, steps=found.steps, verb="differs:", none="no drift")
    return 3 if found else 0


@_command
@_stack_options
@click.option("--remove", is_flag=True, help="Remove the stack too; its config file stays.")
@_yes
def destroy(project: str, stack: str | None, output: str, remove: bool, yes: bool) -> int:
    """Delete all that the stack made."""
    chosen = _stack(project, stack)
    if not yes:
        _confirm(f"Delete all that stack {chosen.name} made?")
    done = chosen.destroy(remove=remove, on_output=_progress)
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds)
    return 0


@_command
@_common_options
def ls(project: str, output: str) -> int:
    """List the project's stacks and their builders."""
    from infra.automation import each

    opened = _project(project)
    names = opened.stacks()
    found = each([opened.stack(name) for name in names], lambda stack: stack.outputs().get("builder"))
    selected = opened.selected()
    if output == "json":
        click.echo(json.dumps({"version": 1, "stacks": [{"name": n, "builder": _plain(found[n])} for n in names]}))
        return 0
    click.echo(f"{'STACK':<16} {'BUILDER':<12} {'NAMESPACE':<16} NODES")
    for name in names:
        value = found[name]
        shown = name + (" *" if name == selected else "")
        if isinstance(value, dict):
            nodes = ", ".join(f"{n['name']} ({', '.join(n['platforms']) or 'any'})" for n in value["nodes"])
            click.echo(f"{shown:<16} {value['name']:<12} {value['namespace']:<16} {nodes}")
        else:
            click.echo(f"{shown:<16} {'-' if value is None else f'error: {value}'}")
    return 0


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"error": str(value)}


def _project(folder: str) -> Project:
    from infra.automation import Project, StackError

    try:
        return Project(folder)
    except StackError as error:
        raise click.ClickException(str(error)) from None


def _stack(folder: str, name: str | None) -> Stack:
    project = _project(folder)
    name = name or project.selected()
    if not name:
        raise click.UsageError("Missing option '--stack': no stack is selected.")
    return project.stack(name)


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _confirm(question: str) -> None:
    if os.environ.get("CI") or not sys.stdin.isatty():
        raise click.UsageError(f"{question} Give '--yes' to say so where no one can be asked.")
    click.confirm(question, abort=True, err=True)


def _report(
    output: str, *, stack: str, steps: tuple[Step, ...], verb: str = "", none: str = "no changes", **more: Any
) -> None:
    """The result: JSON with everything, or one line a resource."""
    if output == "json":
        listed = [step._asdict() for step in steps]
        click.echo(json.dumps({"version": 1, "stack": stack, "steps": listed, **more}))
        return
    for step in steps:
        paths = f"  [{', '.join(step.paths)}]" if step.paths else ""
        click.echo(f"{' '.join(filter(None, [verb, step.operation]))} {step.name} ({step.type}){paths}")
    if not steps:
        click.echo(f"{stack}: {none}")
