"""`buildclient history`: the records that daemons keep of builds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.errors import ClientError, UsageError
from buildclient.base.oserrors import reason
from buildclient.base.visible import visible
from buildclient.cli.records import ATTACHMENT_TYPES
from buildclient.cli.running import run
from buildclient.cli.tables import rendered
from buildclient.cli.upkeep import pick_of, pick_options, shape_of, shape_options, told_missed
from buildclient.cli.where import builder_of, where_options
from buildclient.upkeep import find_record, records, remove_records, replay_record

if TYPE_CHECKING:
    from buildclient.upkeep import FoundRecord

__all__ = ["command"]


class _History(click.Group):
    """`inspect attachment` is one command, and `inspect REF` another."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[:2] == ["inspect", "attachment"]:
            return "inspect attachment", self.commands["attachment"], args[2:]
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError(f"unknown command: history {args[0]}; see buildclient history --help")
        return super().resolve_command(ctx, args)


@click.group("history", cls=_History)
def command() -> None:
    """Look at the records of builds: REF is a build's id or its beginning, ^1 the build before the latest.

    \b
    Examples:
      buildclient history ls --filter status=error
      buildclient history logs
      buildclient history inspect ^1
    """


@command.command("ls")
@where_options
@pick_options
@click.option(
    "--filter",
    "filters",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only builds that match, such as status=error or duration>5m.",
)
@shape_options("table")
@click.option("--no-trunc", is_flag=True, help="Show names whole.")
@click.option("--local", is_flag=True, help="Only builds of this Git repository.")
def ls(filters: Sequence[str], no_trunc: bool, local: bool, **flags: Any) -> int:
    """List the builds that the pods have records of, running ones first.

    Ends with 125 when a pod could not be asked.
    """
    from buildclient.cli.recordlist import COLUMNS, HEADERS, record_row, record_row_json
    from buildclient.daemon.filters import record_filter

    shape, pick = shape_of(flags, "table"), pick_of(flags)
    wanted = record_filter([*(_local() if local else ()), *filters])
    listed, missed = run(records(builder_of(flags), "", pick))
    listed = [one for one in listed if wanted(one.record)]
    several = len({one.pod for one in listed}) > 1
    if shape == "json":
        rows = [record_row_json(one) for one in listed]
    else:
        rows = [record_row(one, shorten=not no_trunc and shape.startswith("table")) for one in listed]
    for line in rendered(rows, HEADERS, shape, (*COLUMNS, *(("Node", "Pod") if several else ()))):
        print(line)
    return told_missed(missed)


@command.command("inspect")
@click.argument("ref", metavar="[REF]", default="")
@where_options
@pick_options
@shape_options("pretty")
def inspect(ref: str, **flags: Any) -> int:
    """Show a build: what it was given, its steps, its error, and what is kept with it."""
    from buildclient.cli.recordparts import read_failure
    from buildclient.cli.records import record_json, record_text

    shape, pick = shape_of(flags, "pretty"), pick_of(flags)
    builder = builder_of(flags)
    if shape not in ("pretty", "json"):
        raise UsageError("--format: history inspect prints pretty or json")

    async def read() -> tuple[FoundRecord, tuple[str, ...], tuple[str, Sequence[str]]]:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            return (found, *await read_failure(builder, found))

    found, sources, step = run(read())
    if shape == "json":
        import json

        print(json.dumps(record_json(found, time.time()), indent=2))
    else:
        print(visible(record_text(found, sources, step, time.time())))
    return 0


@command.command("attachment", hidden=True)
@click.argument("ref", metavar="[REF", default="")
@click.argument("digest", metavar="[DIGEST]]", default="")
@where_options
@pick_options
@click.option("--type", "kind", metavar="TYPE", default="", help=f"{', '.join(ATTACHMENT_TYPES)} or a media type.")
@click.option("--platform", metavar="PLATFORM", default="", help="Of this platform.")
def attachment(ref: str, digest: str, kind: str, platform: str, **flags: Any) -> int:
    """Print something kept with a build: its provenance, a manifest, an SBOM."""
    if not (digest or kind or platform):
        raise UsageError("at least one of --type, --platform or DIGEST must be specified")
    from buildclient.cli.recordparts import choose_attachment, save_attachment, to_stdout

    pick = pick_of(flags)
    builder = builder_of(flags)

    async def read() -> int:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            chosen = digest or choose_attachment(found.record.attachments, kind, platform, ref)
            return await save_attachment(builder, found, chosen, to_stdout())

    status = run(read())
    sys.stdout.flush()
    return status


@command.command("logs")
@click.argument("ref", metavar="[REF]", default="")
@where_options
@pick_options
@click.option("--progress", metavar="MODE", default="plain", help="plain, rawjson or tty.")
def logs(ref: str, progress: str, **flags: Any) -> int:
    """Print a build's progress again, on standard error; that of a running build as it comes."""
    from buildclient.progress.terminal import choose_mode, open_display, shown

    pick = pick_of(flags)
    builder = builder_of(flags)
    mode = choose_mode("plain" if progress == "auto" else progress, {}, sys.stderr.isatty())

    async def read() -> tuple[str, ...]:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            async with shown(open_display(mode)) as display:
                return await replay_record(builder, found, display.feed)

    return told_missed(run(read()))


@command.command("rm")
@click.argument("refs", metavar="[REF...]", nargs=-1)
@where_options
@pick_options
@click.option("--all", "everything", is_flag=True, help="Every ended build.")
def rm(refs: Sequence[str], everything: bool, **flags: Any) -> int:
    """Remove records of builds, with their logs."""
    if not refs and not everything:
        raise UsageError("rm requires at least one argument")
    if refs and everything:
        raise UsageError("rm requires either --all or at least one argument")
    pick = pick_of(flags)
    builder = builder_of(flags)

    async def remove() -> tuple[str, ...]:
        async with builder.session():
            return (await remove_records(builder, refs, pick))[1]

    return told_missed(run(remove()))


@command.command("export")
@click.argument("refs", metavar="[REF...]", nargs=-1)
@where_options
@pick_options
@click.option("-o", "--output", metavar="FILE", default="", help="The file (default: standard output).")
@click.option("--all", "everything", is_flag=True, help="Every ended build.")
def export(refs: Sequence[str], output: str, everything: bool, **flags: Any) -> int:
    """Write records with their logs and attachments into a .dockerbuild file, which Docker Desktop imports."""
    if refs and everything:
        raise UsageError("cannot specify refs when using --all")
    if not output and sys.stdout.isatty():
        raise UsageError("refusing to write to console, use --output to specify a file")
    from buildclient.cli.bundle import write_bundle

    pick = pick_of(flags)
    return told_missed(run(write_bundle(builder_of(flags), refs, pick, output, everything=everything)))


@command.command("open")
@click.argument("ref", metavar="[REF]", default="")
@where_options
@pick_options
@click.option("-o", "--output", metavar="FILE", default="", help="The page's file (default: in the user's cache).")
def open_(ref: str, output: str, **flags: Any) -> int:
    """Write a build's record as a page of HTML, open it in a browser where there is one, and print its place."""
    from buildclient.base.cachefolder import cache_folder
    from buildclient.base.files import Place
    from buildclient.cli.page import page_name, record_page

    pick = pick_of(flags)
    builder = builder_of(flags)

    async def read() -> tuple[str, str]:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            return found.record.ref, await record_page(builder, found)

    name, text = run(read())
    path = os.path.abspath(output or os.path.join(cache_folder(os.environ), page_name(name)))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        place = Place(path)
        place.write(text)
        place.close()
    except OSError as error:
        raise ClientError(f"cannot write {path}: {reason(error)}") from None
    print(path)
    if not output and sys.stdout.isatty() and "CI" not in os.environ:
        import webbrowser

        webbrowser.open(f"file://{path}")
    return 0


def _local() -> Sequence[str]:
    """The filter for builds of the Git repository in the working directory. Raises UsageError."""
    from buildclient.inputs.checkout import find_checkout

    checkout = find_checkout(os.getcwd())
    if checkout is None or not checkout.remote:
        raise UsageError("--local: the working directory is in no Git repository with a remote")
    return (f"repository={checkout.remote}",)
