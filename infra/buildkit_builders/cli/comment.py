"""`builders claims comment`: a plan for those who review it, in a pull request's comment or an issue."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from buildkit_builders.cli.claims import claims
from buildkit_builders.cli.commands import debug_option
from buildkit_builders.cli.report import progress, write

__all__ = ["comment"]


@claims.command("comment", context_settings={"auto_envvar_prefix": "BUILDERS_CLAIMS_COMMENT"})
@debug_option
@click.argument("file", metavar="[PLAN.json]", default="-")
@click.option("--print", "to_output", is_flag=True, help="Write the Markdown to standard output, for a job's summary.")
@click.option(
    "--issue", metavar="TITLE", default="", help="Into an issue, which is closed when there is nothing to tell."
)
@click.option("--number", metavar="N", type=click.IntRange(1), help="The pull request; default: the job's.")
@click.option("--key", metavar="NAME", default="plan", show_default=True,
              help="Tells apart the comments of several folders of claims.")  # fmt: skip
@click.option(
    "--author", metavar="LOGIN", default="", help="GitHub: the token's user, where it is not the job's own token."
)
def comment(file: str, to_output: bool, issue: str, number: int | None, key: str, author: str) -> int:
    """Show a plan, as `plan --json` wrote it, in one comment of the pull request; the next run updates it.

    In GitHub Actions it needs GITHUB_TOKEN with permission to write pull requests (issues for --issue), in GitLab CI
    GITLAB_TOKEN, a project access token with scope api.

    \b
    Examples:
      builders claims comment plan.json
      builders claims comment --print plan.json >>"$GITHUB_STEP_SUMMARY"
      builders claims comment --issue "Builders: drift and expiry" plan.json
    """
    from buildkit_builders.review.hosts import HostError
    from buildkit_builders.review.plan_text import GITHUB_LIMIT, InvalidPlan, marked, matters, no_plan_text, plan_text
    from buildkit_builders.review.surroundings import job_link, surroundings

    if not key or not all(one.isalnum() or one in "-_." for one in key):
        raise click.BadParameter("letters, digits, -, _ and . only", param_hint="--key")
    report, link = _read(file), job_link(os.environ)
    try:
        found = None if to_output else surroundings(os.environ, author)
        limit = found.host.limit if found else GITHUB_LIMIT
        text = no_plan_text(key, link=link) if report is None else plan_text(report, key, link=link, limit=limit)
        if found is None:
            write(text.rstrip("\n"))
        elif issue:
            posted = found.host.issue(issue, marked(key), text if report is None or matters(report) else None)
            progress(f"issue {posted.done} {posted.url}".rstrip())
        elif (meant := number or found.number) is None:
            raise click.ClickException("this job runs for no pull request: give --number, --issue or --print")
        else:
            posted = found.host.comment(meant, marked(key), text)
            progress(f"comment {posted.done} {posted.url}".rstrip())
    except (HostError, InvalidPlan) as error:
        raise click.ClickException(f"{file}: {error}" if isinstance(error, InvalidPlan) else str(error)) from None
    if report is None:
        progress("WARNING: there was no plan; its command failed")
    return 0


def _read(file: str) -> dict[str, Any] | None:
    """The plan; None for an empty file, which a plan that failed early leaves."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        if not text.strip():
            return None
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise click.ClickException(f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise click.ClickException(f"{file}: not the output of `builders claims plan --json`")
    return found
