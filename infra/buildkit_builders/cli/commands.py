"""The commands of `builders`. Pulumi is imported by a command's body, so that `--help` is quick."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from buildclient.base.visible import one_line, visible
from buildclient.shell.clickflags import FormatType, SpelledOption
from buildkit_builders.cli.report import progress, report, write, write_drift, write_stacks
from buildkit_builders.cli.waiting import lock_options

if TYPE_CHECKING:
    from buildkit_builders.automation import Project, Stack
    from buildkit_builders.results import Step

__all__ = ["COMMANDS", "can_ask", "debug_option", "interruptible"]

_F = TypeVar("_F", bound=Callable[..., Any])
COMMANDS: dict[str, click.Command] = {}
_KEPT = (
    "{}: its pods are kept as docker buildx made them by option pod-patch in the stack's config; without it the next "
    "`builders up` replaces them, one at a time"
)
# One variable for a flag, whichever command has it: a job sets BUILDERS_STACK once.
_SETTINGS = {"auto_envvar_prefix": "BUILDERS"}


def interruptible(function: _F) -> Callable[..., Any]:
    """The body of a command, which an interrupt ends without a line of click's own."""

    @functools.wraps(function)
    def body(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except KeyboardInterrupt:
            # of an interrupt click writes a line to standard error, which may be what went away
            raise click.Abort from None

    return body


def _command(function: _F) -> _F:
    name = function.__name__.removesuffix("_")
    COMMANDS[name] = click.command(name, context_settings=_SETTINGS)(debug_option(interruptible(function)))
    return function


def debug_option(function: _F) -> _F:
    """Adds -D, before and after the command's name; `buildkit_builders.debug` looks for it among the arguments."""
    names = ("-D", "--debug", "--traceback", "traceback")
    text = "Log what is done to standard error, and show where an error arose (also BUILDERS_DEBUG=1)."
    return click.option(*names, cls=SpelledOption, shown=2, is_flag=True, expose_value=False, help=text)(function)


def _option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    return click.option(*names, show_envvar=True, **settings)


def _stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    from buildclient.shell.completion import stacks

    return stacks(ctx, param, incomplete)


def _folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    from buildclient.shell.completion import folders

    return folders(ctx, param, incomplete)


def _stack_options(function: _F) -> _F:
    text = "The stack; default: the selected one."
    function = _option("--stack", "-s", metavar="NAME", help=text, shell_complete=_stacks)(function)
    return _common_options(function)


def _common_options(function: _F) -> _F:
    names, text = ("--output", "-o", "--format", "output"), "How the result is written."
    function = _option(*names, cls=SpelledOption, shown=2, type=FormatType("text"), default="text", help=text)(function)
    text = "A folder of the Pulumi project; default: here."
    return _option("--project", "-C", metavar="DIR", default=".", help=text, shell_complete=_folders)(function)


_yes = _option("--yes", "-y", is_flag=True, help="Do not ask.")

_refresh = _option(
    "--refresh/--no-refresh",
    default=True,
    help="Look at the cluster first, or take for true what is recorded of it. Default: look.",
)
_create = _option("--create", is_flag=True, help="Make the stack if there is none of that name.")


@_command
@_stack_options
@_refresh
@_option("--expect-no-changes", is_flag=True, help="End with status 1 if anything would change.")
@_create
def preview(project: str, stack: str | None, output: str, refresh: bool, expect_no_changes: bool, create: bool) -> int:
    """Show what `up` would do.

    \b
    Example: builders preview --stack dev
    """
    found = _stack_to_make(project, stack, create=create, ask=_terminal()).preview(refresh=refresh, on_output=progress)
    report(output, stack=found.stack, steps=found.steps, verb="would", warnings=found.warnings)
    _warn(found.warnings)
    if expect_no_changes and found.steps:
        raise click.ClickException(f"{len(found.steps)} resources of stack {found.stack} would change")
    return 0


@_command
@_stack_options
@_refresh
@_create
@_yes
@lock_options
def up(
    project: str, stack: str | None, output: str, refresh: bool, yes: bool, create: bool, lock_timeout: float
) -> int:
    """Make the cluster as the stack says, with ready pods.

    Shows what would change and asks, unless --yes is given or nothing would. A stack whose config file is there is
    made; of any other that is missing it asks too, or takes --create.

    \b
    Example: builders up --stack dev --yes
    """
    can_ask(yes)
    chosen = _stack_to_make(project, stack, create=create, ask=not yes)
    return _up(chosen, output, refresh=refresh, yes=yes, move=False, lock_timeout=lock_timeout)


@_command
@_stack_options
@_option("--from-buildx", metavar="NAME", required=True, help="The builder of docker buildx.")
@_option(
    "--keep-pods/--replace-pods",
    default=True,
    help="Leave the pods as docker buildx made them, or make them this project's. Default: leave them.",
)
@_yes
@lock_options
def import_(
    project: str, stack: str | None, output: str, from_buildx: str, keep_pods: bool, yes: bool, lock_timeout: float
) -> int:
    """Take over a builder of docker buildx's Kubernetes driver.

    Writes its settings into the stack's config and makes its objects the stack's. Its pods and their caches stay, and
    docker buildx can still use it. Shows what would change and asks.

    \b
    Example: builders import --from-buildx kube --stack kube
    """
    from buildkit_builders.adoption import adoption, released

    can_ask(yes)
    opened = _project(project, adopting=True)
    found = adoption(from_buildx, keep_pods=keep_pods, environ=os.environ)
    with opened.adopted(stack or from_buildx, found.config) as chosen:
        if not yes:
            planned = chosen.preview(refresh=False, on_output=progress)
            _warn(planned.warnings)
            _ask(planned.steps, f"Take over builder {from_buildx} as stack {chosen.name}{_in(planned.clusters)}?")
        with released(found):
            status = _up(chosen, output, refresh=False, yes=True, move=False, lock_timeout=lock_timeout)
    for line in (*found.notes, *map(_KEPT.format, found.kept)):
        progress(line)
    return status


@_command
@_stack_options
@_yes
@lock_options
def move(project: str, stack: str | None, output: str, yes: bool, lock_timeout: float) -> int:
    """Move a stack's builder to the current cluster, and delete it in its old one.

    Both must be in the kubeconfig. Its cache does not come along. Shows what would change and asks.

    \b
    Example: kubectl config use-context new && builders move --stack dev
    """
    can_ask(yes)
    chosen = _stack(project, stack, create=False)
    return _up(chosen, output, refresh=False, yes=yes, move=True, lock_timeout=lock_timeout)


def _up(chosen: Stack, output: str, *, refresh: bool, yes: bool, move: bool, lock_timeout: float) -> int:
    if not yes:
        planned = chosen.preview(refresh=refresh, move=move, on_output=progress)
        _warn(planned.warnings)
        changes = f"{len(planned.steps)} changes to stack {chosen.name}{_in(planned.clusters)}"
        _ask(planned.steps, f"Make these {changes}?")
    done = chosen.up(refresh=refresh, move=move, lock_timeout=lock_timeout, on_output=progress)
    outputs = {name: "[secret]" if name in done.secret else value for name, value in done.outputs.items()}
    report(output, done="update", stack=done.stack, steps=done.steps, seconds=done.seconds, outputs=outputs)
    return 0


@_command
@_stack_options
@_yes
@lock_options
def refresh(project: str, stack: str | None, output: str, yes: bool, lock_timeout: float) -> int:
    """Record the current state of the cluster in the stack's state.

    Shows where they differ and asks, unless --yes is given or they do not. `up` then makes good what differs.

    \b
    Example: builders refresh --stack dev
    """
    can_ask(yes)
    chosen = _stack(project, stack, create=False)
    if not yes:
        found = chosen.drift(on_output=progress)
        _ask(found.steps, f"Take these {len(found.steps)} differences into the state of stack {chosen.name}?")
    done = chosen.refresh(lock_timeout=lock_timeout, on_output=progress)
    report(output, done="refresh", stack=done.stack, steps=done.steps, seconds=done.seconds)
    return 0


@_command
@_stack_options
def drift(project: str, stack: str | None, output: str) -> int:
    """Show where the cluster differs from the stack's state, a line a field: who changed it, and when.

    Changes nothing; `up` makes it good. Status 0: nowhere; 3: somewhere; 1: an error.

    \b
    Example: builders drift --stack prod || echo "status $?"
    """
    found = _stack(project, stack, create=False).drift(on_output=progress)
    write_drift(output, found)
    return 3 if found else 0


@_command
@_stack_options
@_option("--remove", is_flag=True, help="Remove the stack too; its config file stays.")
@_yes
@lock_options
def destroy(project: str, stack: str | None, output: str, remove: bool, yes: bool, lock_timeout: float) -> int:
    """Delete all that the stack made.

    Shows what would go and asks, unless --yes is given or nothing would.

    \b
    Example: builders destroy --stack dev --yes
    """
    can_ask(yes)
    chosen = _stack(project, stack, create=False)
    if not yes:
        planned = chosen.preview_destroy(on_output=progress)
        resources = f"{len(planned.steps)} resources of stack {chosen.name}{_in(planned.clusters)}"
        _ask(planned.steps, f"Delete these {resources}?")
    done = chosen.destroy(remove=remove, lock_timeout=lock_timeout, on_output=progress)
    report(output, done="destroy", stack=done.stack, steps=done.steps, seconds=done.seconds)
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
    write_stacks(output, found, opened.selected() if output == "text" else None)
    return 0


@_command
@click.argument("shell", metavar="{bash|fish|zsh}", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> int:
    """Print completion for a shell.

    Completes commands, flags and stacks; nothing is asked over the network or of Pulumi.

    \b
    Example: source <(builders completion bash)
    """
    from buildclient.shell.completion import script

    parent = click.get_current_context().parent
    assert parent is not None
    write(script(parent.command, "builders", shell))
    return 0


def _project(folder: str, *, adopting: bool = False) -> Project:
    from buildkit_builders.automation import Project

    if not adopting:
        return Project(folder)
    from buildkit_builders.destination import UPSERT

    return Project(folder, environment={UPSERT: "true"})


def _stack(folder: str, name: str | None, *, create: bool | None = None) -> Stack:
    project = _project(folder)
    # the variable may name a stack that is still to be made, which Pulumi's list does not have
    name = name or os.environ.get("PULUMI_STACK") or project.selected()
    if not name:
        raise click.UsageError("Missing option '--stack': no stack is selected.", click.get_current_context())
    return project.stack(name, create=create)


def _stack_to_make(folder: str, name: str | None, *, create: bool, ask: bool) -> Stack:
    """The stack; made if it is missing and `create`, or whoever may be asked, says so."""
    from buildkit_builders.results import MissingStackError

    try:
        return _stack(folder, name, create=True if create else None)
    except MissingStackError as missing:
        if not ask:
            way = f"make it with --create, or write its config first: {os.path.relpath(missing.config)}"
            raise click.ClickException(f"{missing}; {way}") from None
        if not click.confirm(visible(f"{missing}. Make {missing.stack}?"), err=True):
            raise click.ClickException("declined; nothing was changed") from None
        return _stack(folder, missing.stack, create=True)


def _terminal() -> bool:
    """Whether there is someone to be asked."""
    return not os.environ.get("CI") and bool(sys.stdin and sys.stdin.isatty())


def can_ask(yes: bool) -> None:
    """Refuses at once, not after a preview, if there is no terminal to ask at."""
    if not yes and not _terminal():
        raise click.UsageError("Missing option '--yes': there is no terminal to ask at.", click.get_current_context())


def _warn(warnings: tuple[str, ...]) -> None:
    for line in warnings:
        progress(f"WARNING: {one_line(line)}")


def _in(clusters: tuple[str, ...]) -> str:
    return f", cluster {', '.join(clusters)}" if clusters else ""


def _ask(steps: tuple[Step, ...], question: str) -> None:
    if steps and not click.confirm(visible(question), err=True):
        raise click.ClickException("declined; nothing was changed")
