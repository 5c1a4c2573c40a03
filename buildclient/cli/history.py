"""`buildclient history`: the records that daemons keep of builds."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from buildclient.base.errors import ClientError, UsageError
from buildclient.base.oserrors import reason
from buildclient.base.units import short_duration
from buildclient.base.visible import visible
from buildclient.cli.running import run
from buildclient.cli.tables import rendered
from buildclient.cli.upkeep import ago, pick_of, pick_options, shape_of, shape_options, told_missed
from buildclient.cli.where import builder_of, where_options
from buildclient.upkeep import find_record, records, remove_records, replay_record

if TYPE_CHECKING:
    from buildclient.api import Builder
    from buildclient.daemon.records import Attachment
    from buildclient.upkeep import FoundRecord

__all__ = ["command", "page_name"]

_HEADERS = {
    "Ref": "BUILD ID",
    "Name": "NAME",
    "Status": "STATUS",
    "CreatedAt": "CREATED AT",
    "Duration": "DURATION",
    "Node": "NODE",
    "Pod": "POD",
}
_COLUMNS = ("Ref", "Name", "Status", "CreatedAt", "Duration")
_NAME = 36
_LOG_LINES = 16
_MOST = 1 << 30
"""Bytes of an attachment."""
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_KINDS = {
    "index": ("application/vnd.oci.image.index.v1+json",),
    "manifest": ("application/vnd.oci.image.manifest.v1+json",),
    "image": ("application/vnd.oci.image.config.v1+json",),
    "provenance": ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"),
    "sbom": ("https://spdx.dev/Document",),
}


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
@click.option("--filter", "filters", metavar="KEY=VALUE", multiple=True, help="Only such: status=error, duration>5m …")
@shape_options("table")
@click.option("--no-trunc", is_flag=True, help="Show names whole.")
@click.option("--local", is_flag=True, help="Only builds of this Git repository.")
def ls(filters: Sequence[str], no_trunc: bool, local: bool, **flags: Any) -> int:
    """List the builds that the pods have records of, running ones first.

    Ends with 125 when a pod could not be asked.
    """
    from buildclient.daemon.filters import record_filter

    shape, pick = shape_of(flags, "table"), pick_of(flags)
    wanted = record_filter([*(_local() if local else ()), *filters])
    listed, missed = run(records(builder_of(flags), "", pick))
    listed = [one for one in listed if wanted(one.record)]
    several = len({one.pod for one in listed}) > 1
    if shape == "json":
        rows = [_row_json(one) for one in listed]
    else:
        rows = [_row(one, shorten=not no_trunc and shape.startswith("table")) for one in listed]
    for line in rendered(rows, _HEADERS, shape, (*_COLUMNS, *(("Node", "Pod") if several else ()))):
        print(line)
    return told_missed(missed)


@command.command("inspect")
@click.argument("ref", metavar="[REF]", default="")
@where_options
@pick_options
@shape_options("pretty")
def inspect(ref: str, **flags: Any) -> int:
    """Show a build: what it was given, its steps, its error, and what is kept with it."""
    from buildclient.cli.records import record_json, record_text

    shape, pick = shape_of(flags, "pretty"), pick_of(flags)
    builder = builder_of(flags)
    if shape not in ("pretty", "json"):
        raise UsageError("--format: history inspect prints pretty or json")

    async def read() -> tuple[FoundRecord, tuple[str, ...], tuple[str, Sequence[str]]]:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            return (found, *await _failure(builder, found))

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
@click.option("--type", "kind", metavar="TYPE", default="", help=f"{', '.join(_KINDS)} or a media type.")
@click.option("--platform", metavar="PLATFORM", default="", help="Of this platform.")
def attachment(ref: str, digest: str, kind: str, platform: str, **flags: Any) -> int:
    """Print something kept with a build: its provenance, a manifest, an SBOM."""
    if not (digest or kind or platform):
        raise UsageError("at least one of --type, --platform or DIGEST must be specified")
    pick = pick_of(flags)
    builder = builder_of(flags)

    async def read() -> int:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            chosen = digest or _chosen(found.record.attachments, kind, platform, ref)
            return await _save(builder, found, chosen, _to_stdout())

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
    from buildclient.cli.page import record_page

    pick = pick_of(flags)
    builder = builder_of(flags)

    async def read() -> tuple[str, str]:
        async with builder.session():
            found = await find_record(builder, ref, pick)
            return found.record.ref, await record_page(builder, found)

    name, text = run(read())
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "buildclient")
    path = os.path.abspath(output or os.path.join(cache, page_name(name)))
    from buildclient.base.files import Place

    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Place(path).write(text)
    except OSError as error:
        raise ClientError(f"cannot write {path}: {reason(error)}") from None
    print(path)
    if not output and sys.stdout.isatty() and "CI" not in os.environ:
        import webbrowser

        webbrowser.open(f"file://{path}")
    return 0


def page_name(ref: str) -> str:
    """Returns the file name of a build's page: a daemon's id may be any text, such as a path."""
    if not _FILE_NAME.fullmatch(ref):
        ref = hashlib.sha256(ref.encode(errors="surrogatepass")).hexdigest()
    return f"{ref}.html"


def _to_stdout() -> Callable[[bytes], object]:
    """What writes foreign bytes to standard output; on a terminal they are shown as text, which they could steer."""
    if not sys.stdout.isatty():
        return sys.stdout.buffer.write
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    return lambda data: sys.stdout.write(visible(decode(data)))


def _local() -> Sequence[str]:
    """The filter for builds of the Git repository in the working directory. Raises UsageError."""
    from buildclient.inputs.checkout import find_checkout

    checkout = find_checkout(os.getcwd())
    if checkout is None or not checkout.remote:
        raise UsageError("--local: the working directory is in no Git repository with a remote")
    return (f"repository={checkout.remote}",)


def _row(found: FoundRecord, *, shorten: bool) -> dict[str, Any]:
    from buildclient.cli.records import build_name

    record = found.record
    name = build_name(record.attrs)
    if shorten and len(name) > _NAME:
        name = f"..{name[2 - _NAME :]}"
    return {
        "Ref": record.ref,
        "Name": name,
        "Status": record.status,
        "CreatedAt": ago(record.created),
        "Duration": short_duration(record.lasted(time.time())) + ("+" if record.completed is None else ""),
        "Node": found.node,
        "Pod": found.pod,
    }


def _row_json(found: FoundRecord) -> dict[str, Any]:
    from buildclient.cli.records import build_name
    from buildclient.cli.upkeep import instant

    record = found.record
    ended = {"completed_at": instant(record.completed)} if record.completed is not None else {}
    return {
        "ref": record.ref,
        "name": build_name(record.attrs),
        "status": record.status,
        "created_at": instant(record.created),
        **ended,
        "total_steps": record.total_steps,
        "completed_steps": record.completed_steps,
        "cached_steps": record.cached_steps,
        "node": found.node,
        "pod": found.pod,
    }


async def _failure(builder: Builder, found: FoundRecord) -> tuple[tuple[str, ...], tuple[str, Sequence[str]]]:
    """The Dockerfile's lines of a failed build; name and last lines of the step that failed."""
    from buildclient.daemon.records import read_sources
    from buildclient.progress.events import Event, Log, Vertex
    from buildclient.upkeep import Pick, ask

    if found.record.error_details is None:
        return (), ("", ())
    told = await ask(builder, read_sources(found.record.error_details), Pick(found.node, found.pod))
    if not told.answers:
        return (), ("", ())
    sources, vertex = told.answers[0].value
    name, data = "", bytearray()

    def take(event: Event) -> None:
        nonlocal name
        if isinstance(event, Vertex) and event.digest == vertex:
            name = event.name
        elif isinstance(event, Log) and event.vertex == vertex:
            data.extend(event.data)
            del data[: max(0, len(data) - (1 << 20))]

    await replay_record(builder, found, take)
    lines = data.decode(errors="replace").splitlines()
    return sources, (name, lines[-_LOG_LINES:])


def _chosen(attachments: Sequence[Attachment], kind: str, platform: str, ref: str) -> str:
    wanted = _KINDS.get(kind, (kind,))
    for one in attachments:
        if (not platform or one.platform == platform) and (not kind or one.type in wanted):
            return one.digest
    raise UsageError(f'no matching attachment found for ref "{ref}"')


async def _save(builder: Builder, found: FoundRecord, digest: str, write: Callable[[bytes], object]) -> int:
    from buildclient.daemon.records import save_content
    from buildclient.upkeep import Pick, ask

    done = await ask(builder, save_content(digest, _MOST, write), Pick(found.node, found.pod))
    return told_missed(done.missed)
