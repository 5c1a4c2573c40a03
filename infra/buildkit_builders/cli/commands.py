"""The commands of `builders`. Pulumi is imported by a command's body, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from buildkit_builders.automation import Project, Stack
    from buildkit_builders.results import Step

__all__ = ["COMMANDS", "traceback_option"]

_F = TypeVar("_F", bound=Callable[..., Any])
COMMANDS: dict[str, click.Command] = {}
# One variable for a flag, whichever command has it: a job sets BUILDERS_STACK once.
_SETTINGS = {"auto_envvar_prefix": "BUILDERS"}


def _command(function: _F) -> _F:
    name = function.__name__.removesuffix("_")
    COMMANDS[name] = click.command(name, context_settings=_SETTINGS)(traceback_option(function))
    return function


def traceback_option(function: _F) -> _F:
    """Adds -D, before and after the command's name; whoever words errors looks for it."""
    return click.option(
        "--traceback", "-D", is_flag=True, expose_value=False, help="Show where in the program an error arose."
    )(function)


def _option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    return click.option(*names, show_envvar=True, **settings)


def _stack_options(function: _F) -> _F:
    function = _option("--stack", "-s", metavar="NAME", help="The stack; default: the selected one.")(function)
    return _common_options(function)


def _common_options(function: _F) -> _F:
    formats = click.Choice(["text", "json"])
    function = _option("--output", "-o", type=formats, default="text", help="How the result is written.")(function)
    return _option(
        "--project", "-C", metavar="DIR", default=".", help="A folder of the Pulumi project; default: here."
    )(function)


_yes = _option("--yes", "-y", is_flag=True, help="Do not ask.")


@_command
@_stack_options
@_option("--refresh", is_flag=True, help="Compare with the cluster as it is.")
@_option("--expect-no-changes", is_flag=True, help="End with status 1 if anything would change.")
def preview(project: str, stack: str | None, output: str, refresh: bool, expect_no_changes: bool) -> int:
    """Show what `up` would do.

    \b
    Example: builders preview --stack dev
    """
    found = _stack(project, stack).preview(refresh=refresh, on_output=_progress)
    _report(output, stack=found.stack, steps=found.steps, verb="would")
    if expect_no_changes and found.steps:
        raise click.ClickException(f"{len(found.steps)} resources of stack {found.stack} would change")
    return 0


@_command
@_stack_options
@_option("--refresh", is_flag=True, help="Look at the cluster first.")
@_yes
def up(project: str, stack: str | None, output: str, refresh: bool, yes: bool) -> int:
    """Make the cluster as the stack says, with ready pods.

    Shows what would change and asks, unless --yes is given or nothing would.

    \b
    Example: builders up --stack dev --yes
    """
    return _up(project, stack, output, refresh=refresh, yes=yes, move=False)


@_command
@_stack_options
@_yes
def move(project: str, stack: str | None, output: str, yes: bool) -> int:
    """Make a stack's builder in the cluster at hand, and delete it in the one that it is in.

    Both must be in the kubeconfig. Its cache does not come along. Shows what would change and asks.

    \b
    Example: kubectl config use-context new && builders move --stack dev
    """
    return _up(project, stack, output, refresh=False, yes=yes, move=True)


def _up(project: str, stack: str | None, output: str, *, refresh: bool, yes: bool, move: bool) -> int:
    _can_ask(yes)
    chosen = _stack(project, stack)
    if not yes:
        planned = chosen.preview(refresh=refresh, move=move, on_output=_progress)
        changes = f"{len(planned.steps)} changes to stack {chosen.name}{_in(planned.clusters)}"
        _ask(planned.steps, f"Make these {changes}?")
    done = chosen.up(refresh=refresh, move=move, on_output=_progress)
    outputs = {name: "[secret]" if name in done.secret else value for name, value in done.outputs.items()}
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds, outputs=outputs)
    return 0


@_command
@_stack_options
@_yes
def refresh(project: str, stack: str | None, output: str, yes: bool) -> int:
    """Take the cluster as it is into the stack's state.

    Shows where they differ and asks, unless --yes is given or they do not. `up` then makes good what differs.

    \b
    Example: builders refresh --stack dev
    """
    _can_ask(yes)
    chosen = _stack(project, stack, create=False)
    if not yes:
        found = chosen.drift(on_output=_progress)
        _ask(found.steps, f"Take these {len(found.steps)} differences into the state of stack {chosen.name}?")
    done = chosen.refresh(on_output=_progress)
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds)
    return 0


@_command
@_stack_options
def drift(project: str, stack: str | None, output: str) -> int:
    """Show where the cluster is no longer as it was left.

    Changes nothing. Status 0: nowhere; 3: somewhere; 1: an error.

    \b
    Example: builders drift --stack prod || echo "status $?"
    """
    found = _stack(project, stack, create=False).drift(on_output=_progress)
    _report(output, stack=found.stack, steps=found.steps, verb="differs:", none="no drift")
    return 3 if found else 0


@_command
@_stack_options
@_option("--remove", is_flag=True, help="Remove the stack too; its config file stays.")
@_yes
def destroy(project: str, stack: str | None, output: str, remove: bool, yes: bool) -> int:
    """Delete all that the stack made.

    Shows what would go and asks, unless --yes is given or nothing would.

    \b
    Example: builders destroy --stack dev --yes
    """
    _can_ask(yes)
    chosen = _stack(project, stack, create=False)
    if not yes:
        planned = chosen.preview_destroy(on_output=_progress)
        resources = f"{len(planned.steps)} resources of stack {chosen.name}{_in(planned.clusters)}"
        _ask(planned.steps, f"Delete these {resources}?")
    done = chosen.destroy(remove=remove, on_output=_progress)
    _report(output, stack=done.stack, steps=done.steps, seconds=done.seconds)
    return 0


@_command
@_common_options
def ls(project: str, output: str) -> int:
    """List the project's stacks and their builders.

    \b
    Example: builders ls -o json
    """
    from buildkit_builders.automation import each

    opened = _project(project)
    names = opened.stacks()
    found = each([opened.stack(name) for name in names], lambda stack: stack.outputs().get("builder"))
    if output == "json":
        click.echo(json.dumps({"version": 1, "stacks": [{"name": n, "builder": _plain(found[n])} for n in names]}))
        return 0
    selected = opened.selected()
    rows = [("STACK", "BUILDER", "NAMESPACE", "NODES")]
    rows += [(name + (" *" if name == selected else ""), *_cells(found[name])) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0


def _cells(builder: Any) -> tuple[str, str, str]:
    if not isinstance(builder, dict):
        return "-", "-", "" if builder is None else f"error: {builder}"
    nodes = (f"{node['name']} ({', '.join(node['platforms']) or 'any'})" for node in builder["nodes"])
    return builder["name"], builder["namespace"], ", ".join(nodes)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"error": str(value)}


def _project(folder: str) -> Project:
    from buildkit_builders.automation import Project

    return Project(folder)


def _stack(folder: str, name: str | None, *, create: bool | None = None) -> Stack:
    project = _project(folder)
    # the variable may name a stack that is still to be made, which Pulumi's list does not have
    name = name or os.environ.get("PULUMI_STACK") or project.selected()
    if not name:
        raise click.UsageError("Missing option '--stack': no stack is selected.", click.get_current_context())
    return project.stack(name, create=create)


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _can_ask(yes: bool) -> None:
    """Refuses at once, not after a preview, where there is no one to be asked."""
    if not yes and (os.environ.get("CI") or not (sys.stdin and sys.stdin.isatty())):
        raise click.UsageError("Missing option '--yes': there is no terminal to ask at.", click.get_current_context())


def _in(clusters: tuple[str, ...]) -> str:
    return f", cluster {', '.join(clusters)}" if clusters else ""


def _ask(steps: tuple[Step, ...], question: str) -> None:
    if steps and not click.confirm(question, err=True):
        raise click.ClickException("declined; nothing was changed")


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
