"""`builders claims`: the builders that teams ask for in files, planned and applied together."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from buildclient.base.visible import one_line, visible
from buildkit_builders.cli.claims_access import access
from buildkit_builders.cli.claims_options import (
    PREFIX,
    clear_locks_option,
    common,
    option,
    prune_option,
    yes_option,
)
from buildkit_builders.cli.commands import can_ask, debug_option, interruptible
from buildkit_builders.cli.fleet_view import FleetView
from buildkit_builders.cli.report import progress, write
from buildkit_builders.cli.waiting import lock_options

if TYPE_CHECKING:
    from buildkit_builders.automation import Run
    from buildkit_builders.fleet import Fleet, FleetReport

__all__ = ["claims"]

_F = TypeVar("_F", bound=Callable[..., Any])
_PROJECT = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SETTINGS = {"auto_envvar_prefix": PREFIX}


@click.group(context_settings=_SETTINGS)
def claims() -> None:
    """The builders that teams ask for in files: claims/<team>.yaml, allowed by platform.yaml.

    \b
    Examples:
      builders claims plan
      builders claims apply --yes --prune
      builders claims status --only payments
      builders claims access payments/main
    """


def _command(function: _F) -> _F:
    decorated = click.command(function.__name__, context_settings=_SETTINGS)(debug_option(interruptible(function)))
    claims.add_command(decorated)
    return function


claims.add_command(debug_option(access))


@_command
@common
@option("--expect-no-changes", is_flag=True, help="End with status 3 if anything would change.")
def plan(as_json: bool, expect_no_changes: bool, **where: Any) -> int:
    """Show what `apply` would change, by team, with the amounts against the limits. Writes nothing.

    Status: 0; 1 if a claim was refused or a preview failed; 3 with --expect-no-changes.

    \b
    Example: builders claims plan --json >plan.json
    """
    from buildkit_builders.fleet.namespaces import missing
    from buildkit_builders.fleet.report import Removed

    with _opened(**where) as fleet:
        gone = [Removed(stack) for stack in fleet.gone()]
        for one in missing(fleet.namespaces()):
            progress(f"namespace {one.name} would be made for team {one.team}")
        report = _run(fleet, "plan", fleet.plan(), gone)
    _write(report, as_json)
    return _status(report) or (3 if expect_no_changes and report.has_changes else 0)


@_command
@common
@prune_option
@yes_option
@clear_locks_option
@lock_options
def apply(as_json: bool, prune: bool, yes: bool, clear_locks: bool, lock_timeout: float, **where: Any) -> int:
    """Make the builders as the claims say, with ready pods. What fails hides no other.

    Shows the plan and asks, unless --yes is given. Run it again after an interrupt: it goes on where it was. Builders
    whose claim is gone are listed, and deleted with --prune; an expired claim's goes to no pods.

    \b
    Example: builders claims apply --yes --prune
    """
    from buildkit_builders.fleet.namespaces import make_missing

    can_ask(yes)
    with _opened(**where) as fleet:
        gone = fleet.gone()
        stacks = None
        if not yes:
            planned = _run(fleet, "plan", fleet.plan(), _removed(gone))
            for line in planned.lines():
                progress(line)
            if planned.interrupted:
                raise KeyboardInterrupt
            # what could not be previewed is tried: its reason is then among the results
            stacks = [row.stack for row in planned.rows if row.status != "unchanged"]
            _ask(f"Apply {len(stacks)} claims{f' and delete {len(gone)} builders' if prune and gone else ''}?",
                 needed=bool(stacks or (prune and gone)))  # fmt: skip
        for line in make_missing(fleet.namespaces()):
            progress(line)
        report = _run(
            fleet, "apply", fleet.apply(stacks, lock_timeout=lock_timeout, clear_locks=clear_locks), _removed(gone)
        )
        if prune and gone and not report.interrupted:
            report = _pruned(fleet, report, gone, lock_timeout, clear_locks)
    _write(report, as_json)
    return _status(report)


@_command
@common
@prune_option
@yes_option
@clear_locks_option
@lock_options
def destroy(as_json: bool, prune: bool, yes: bool, clear_locks: bool, lock_timeout: float, **where: Any) -> int:
    """Delete the builders of the claims, of refused ones too, and with --prune those whose claim is gone.

    \b
    Example: builders claims destroy --only payments/main
    """
    from buildkit_builders.fleet.namespaces import remove_empty

    can_ask(yes)
    # What is deleted need not be allowed, only known.
    with _opened(**where, rules_matter=False) as fleet:
        refused = [stack for stack in fleet.refused if stack in fleet.made]
        stacks = [*(stack for stack in fleet.resolved if stack in fleet.made), *refused]
        gone = fleet.gone()
        doomed = [*stacks, *(gone if prune else ())]
        if not yes:
            _ask(f"Delete {len(doomed)} builders: {', '.join(doomed)}?", needed=bool(doomed))
        namespaces = [*fleet.namespaces(), *fleet.namespaces_in_state(refused)]
        run = fleet.destroy(stacks, lock_timeout=lock_timeout, clear_locks=clear_locks)
        report = _run(fleet, "destroy", run, _removed(gone), rules_matter=False)
        if prune and gone and not report.interrupted:
            report = _pruned(fleet, report, gone, lock_timeout, clear_locks)
        for line in () if report.interrupted else remove_empty(namespaces):
            progress(line)
    _write(report, as_json)
    return _status(report)


@_command
@common
def status(as_json: bool, **where: Any) -> int:
    """List the claims with their builders: whether they are there, who answers for them, until when.

    \b
    Example: builders claims status --json
    """
    from buildkit_builders.fleet.status import status_lines, status_of

    with _opened(**where) as fleet:
        found = status_of(fleet)
    if as_json:
        write(json.dumps({"version": 1, "claims": [one.to_json() for one in found]}))
    else:
        for line in status_lines(found):
            if not write(one_line(line)):
                break
    return 1 if any(one.error for one in found) else 0


@contextmanager
def _opened(
    platform_file: str, folder: str, project: str, only: str | None, parallel: int, *, rules_matter: bool = True
) -> Iterator[Fleet]:
    from buildkit_builders.claims import read_claims
    from buildkit_builders.fleet import Fleet, Only

    if not _PROJECT.fullmatch(project):
        raise click.BadParameter("give letters, digits, '-', '_' and '.'", param_hint="'--project'")
    team, _, name = (only or "").partition("/")
    if only is not None and not team:
        raise click.BadParameter("give TEAM or TEAM/NAME", param_hint="'--only'")
    read = read_claims(Path(platform_file), Path(folder))
    with Fleet(read, only=Only(team, name), at_once=parallel, project=project) as fleet:
        shown = fleet.problems if rules_matter else fleet.unread
        for problem in shown:
            progress(f"{'WARNING' if problem.severity == 'warning' else 'ERROR'}: {one_line(problem.unmarked)}")
        wrong = any(one.severity == "error" for one in shown)
        if only and not (fleet.resolved or fleet.refused or wrong or fleet.gone()):
            raise click.ClickException(_nothing_meant(fleet, only, folder))
        yield fleet


def _nothing_meant(fleet: Fleet, only: str, folder: str) -> str:
    shared = [one for one in fleet.claims.named if fleet.only.names(*one.split("/", 1))]
    if shared:
        return f"the stack of {', '.join(shared)} is another claim's too: rename one of them, or leave out --only"
    return f"there is no claim {only} in {folder}"


def _run(fleet: Fleet, action: str, run: Run[Any], gone: Iterable[Any], *, rules_matter: bool = True) -> FleetReport:
    from buildkit_builders.fleet.report import report_of

    interrupted = _follow(run, fleet, steps=action != "plan")
    return report_of(
        action,
        fleet.claims,
        fleet.resolved,
        run.outcomes,
        problems=fleet.problems if rules_matter else fleet.unread,
        refused=fleet.refused,
        gone=tuple(gone),
        interrupted=interrupted,
    )


def _leave_out_ends_of_programs() -> None:
    """Programs that Pulumi's cancelling ends are told by the SDK as exceptions that nobody catches."""
    usual = sys.unraisablehook

    def hook(told: Any) -> None:
        if getattr(told.object, "__name__", "") != "run_in_stack":
            usual(told)

    sys.unraisablehook = hook


def _follow(run: Run[Any], fleet: Fleet, *, steps: bool = True) -> bool:
    """Show a run to its end; whether it was interrupted."""

    def name(stack: str) -> str:
        return fleet.resolved[stack].claim.id if stack in fleet.resolved else fleet.refused.get(stack, stack)

    view = FleetView(run.total, name, steps=steps)
    _leave_out_ends_of_programs()
    try:
        with run:
            for event in run:
                view.show(event)
    except KeyboardInterrupt:
        return True
    finally:
        view.close()
    return False


def _removed(gone: Iterable[str]) -> list[Any]:
    from buildkit_builders.fleet.report import Removed

    return [Removed(stack) for stack in gone]


def _pruned(fleet: Fleet, report: FleetReport, gone: Iterable[str], lock_timeout: float, clear: bool) -> FleetReport:
    from dataclasses import replace

    from buildkit_builders.fleet.namespaces import remove_empty
    from buildkit_builders.fleet.report import Removed

    left = fleet.namespaces_in_state(gone)
    run = fleet.destroy(gone, lock_timeout=lock_timeout, clear_locks=clear)
    interrupted = _follow(run, fleet)
    for line in () if interrupted else remove_empty(left):
        progress(line)
    removed = [Removed(name, one.result is not None, str(one.error or "")) for name, one in run.outcomes.items()]
    return replace(report, gone=tuple(removed), interrupted=interrupted)


def _ask(question: str, *, needed: bool) -> None:
    if needed and not click.confirm(visible(question), err=True):
        raise click.ClickException("declined; nothing was changed")


def _write(report: FleetReport, as_json: bool) -> None:
    done = "" if report.action == "plan" else report.action
    if as_json:
        write(json.dumps(report.to_json()), done)
        return
    for line in report.lines():
        if not write(visible(line), done):
            return


def _status(report: FleetReport) -> int:
    return 130 if report.interrupted else 0 if report.ok else 1
