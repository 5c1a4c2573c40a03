"""`builders claims access`: what a team needs to build with its builder."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from buildclient.base.visible import one_line
from buildkit_builders.cli.report import progress, write
from buildkit_builders.cli.waiting import Duration

__all__ = ["access"]

_MIN_SECONDS = 600.0
"""The API server refuses less (kubernetes, pkg/apis/authentication/validation)."""


@click.command()
@click.argument("team", metavar="TEAM[/NAME]")
@click.option("--claims", "folder", metavar="DIR", default="claims", show_default=True, show_envvar=True,
              envvar="BUILDERS_CLAIMS_DIR",
              help="The folder of the claims, a file a team.")  # fmt: skip
@click.option("--platform", "platform_file", metavar="FILE", default="platform.yaml", show_default=True,
              show_envvar=True, envvar="BUILDERS_CLAIMS_PLATFORM", help="What the platform team allows.")  # fmt: skip
@click.option("--duration", metavar="DURATION", type=Duration(), default="1h", show_default=True, show_envvar=True,
              help="How long the token holds, at least 10m; the cluster may give less.")  # fmt: skip
@click.option("--own", is_flag=True, help="Copy the exec plugin of your own context instead of a token.")
@click.option("--output", "-o", metavar="FILE", help="Where it is written; default: TEAM[-NAME].kubeconfig here.")
def access(team: str, folder: str, platform_file: str, duration: float, own: bool, output: str | None) -> int:
    """Write a kubeconfig to build with a team's builders, and print the lines for a CI job.

    It holds a short-lived token of the builder's ServiceAccount, whose rights end at its namespace, or with --own no
    secret at all. Only its owner can read the file.

    \b
    Example: builders claims access payments/main --duration 2h
    """
    from buildclient.base.errors import ClientError
    from buildkit_builders.claims import read_claims, resolve
    from buildkit_builders.fleet import Only
    from buildkit_builders.fleet.access import job_lines, own_kubeconfig, token_kubeconfig, write_private

    if duration < _MIN_SECONDS:
        raise click.BadParameter("give at least 10m: no cluster gives shorter tokens", param_hint="'--duration'")
    only = Only(team.partition("/")[0], team.partition("/")[2])
    claims = read_claims(Path(platform_file), Path(folder))
    builders = [resolve(one, claims.platform) for one in claims.claims if only.means(one)]
    if not builders:
        files = (platform_file, *(str(Path(folder, f"{only.team}.{suffix}")) for suffix in ("yaml", "yml")), folder)
        for problem in claims.errors:
            if problem.file in files and only.concerns(problem):
                progress(f"ERROR: {one_line(str(problem))}")
        raise click.ClickException(f"there is no good claim {team} in {folder}")
    path = Path(output or f"{team.replace('/', '-')}.kubeconfig")
    try:
        granted = own_kubeconfig(builders) if own else token_kubeconfig(builders, int(duration))
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    write_private(path, granted.kubeconfig)
    until = f", whose token holds until {min(granted.expires)}" if granted.expires else ""
    progress(f"{path} is written{until}; in a job:")
    for line in job_lines(builders[0], Path(shlex.quote(str(path)))):
        write(line)
    for one in builders[1:]:
        progress(f"also context {one.stack}: --context {one.stack} --from-cluster {one.namespace}/{one.claim.name}")
    return 0
