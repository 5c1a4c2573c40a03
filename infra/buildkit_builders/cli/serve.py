"""`builders serve`: the page of all builders, live or as files."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from buildkit_builders.cli.commands import debug_option
from buildkit_builders.cli.report import progress, write
from buildkit_builders.cli.waiting import Duration

if TYPE_CHECKING:
    from buildkit_builders.page.serve import Address
    from buildkit_builders.page.watch import Watcher

__all__ = ["serve"]

_EXTRA = ("starlette", "uvicorn", "jinja2")
"""What the extra `page` brings; without it the command ends at once, not at the first request."""


@click.command("serve", context_settings={"auto_envvar_prefix": "BUILDERS"})
@debug_option
@click.option("--address", metavar="HOST:PORT", default="127.0.0.1:8080", show_default=True, help="Where to listen.")
@click.option("--allow-remote", is_flag=True, help="Listen on an address that other machines reach.")
@click.option("--host-name", metavar="NAME", multiple=True, help="A name by which a reverse proxy asks for the page.")
@click.option("--user-header", metavar="NAME", default="", help="The header in which a reverse proxy names the user.")
@click.option("--export", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Write the page into a folder, for any web server, and end.")  # fmt: skip
@click.option("--context", metavar="NAME", multiple=True, help="A kubeconfig context; default: the current one.")
@click.option("--namespace", "-n", metavar="NAME", multiple=True, help="A namespace to look in; default: all.")
@click.option("--project", "-C", metavar="DIR", multiple=True, type=click.Path(),
              help="A Pulumi project's folder, for its stacks and their drift; default: here.")  # fmt: skip
@click.option("--claims", is_flag=True, help="Also the stacks of `builders claims`, and their drift.")
@click.option(
    "--every",
    metavar="DURATION",
    type=Duration(),
    default="30s",
    show_default=True,
    help="Between two looks at a builder.",
)
@click.option("--drift-every", metavar="DURATION", type=Duration(), default="1h", show_default=True,
              help="Between two looks for a stack's drift; 0s for none.")  # fmt: skip
def serve(
    address: str,
    allow_remote: bool,
    host_name: tuple[str, ...],
    user_header: str,
    folder: Path | None,
    context: tuple[str, ...],
    namespace: tuple[str, ...],
    project: tuple[str, ...],
    claims: bool,
    every: float,
    drift_every: float,
) -> int:
    """Show all builders on a page: owner, nodes, cache, load, drift, last builds, and how to build on each.

    It only reads, and listens on this machine alone unless it is told otherwise. Whoever sees it sees all builders.

    \b
    Examples:
      builders serve
      builders serve --namespace payments --namespace search --address 127.0.0.1:9000
      builders serve --export public
    """
    for name in _EXTRA:
        import_module(name)
    from buildkit_builders.page.serve import PageAccess, ServeError, Wanted, watcher
    from buildkit_builders.page.serve import serve as serve_page
    from buildkit_builders.page.watch import Pace

    pace = Pace(period=max(1.0, every), drift=drift_every)
    with TemporaryDirectory(prefix="builders-claims-") as of_claims:
        try:
            listen_on = _address(address, allow_remote=allow_remote)
            if claims:
                from buildkit_builders.fleet.fleet import write_project

                write_project(Path(of_claims))
            wanted = Wanted(context, namespace, project, of_claims if claims else "")
            watching = watcher(wanted, os.environ, pace)
            if folder is None:
                access = PageAccess(host_name, user_header)
                serve_page(watching, listen_on, access, min(5.0, pace.period), progress)
            else:
                _export(watching, folder)
        except ServeError as error:
            raise click.ClickException(str(error)) from None
    return 0


def _export(watching: Watcher, folder: Path) -> None:
    from buildkit_builders.page.export import ExportError, export
    from buildkit_builders.page.serve import snapshot_once

    snapshot = snapshot_once(watching)
    for problem in snapshot.problems:
        progress(f"WARNING: {problem}")
    if not snapshot.builders and snapshot.problems:
        raise click.ClickException("no builder could be found; nothing was written")
    try:
        count = export(snapshot, folder)
    except ExportError as error:
        raise click.ClickException(str(error)) from None
    write(f"{count} builders in {folder / 'index.html'}")


def _address(text: str, *, allow_remote: bool) -> Address:
    from buildkit_builders.page.serve import parse_address

    address = parse_address(text)
    if not address.loopback and not allow_remote:
        raise click.UsageError(
            f"--address {text} is reached from other machines, and whoever reaches it sees every builder. Put a proxy "
            "that signs users in before 127.0.0.1, or give --allow-remote.",
            click.get_current_context(),
        )
    return address
