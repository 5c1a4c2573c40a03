"""`buildclient build`: a request from flags, and the request's result to streams and files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from buildclient.api import Builder
from buildclient.base.errors import BuildFailed, ClientError, InvalidBuild, UsageError
from buildclient.base.gotext import is_bool, parse_bool
from buildclient.base.oserrors import reason
from buildclient.base.visible import one_line
from buildclient.cli import debug, oldflags
from buildclient.cli.flags import FlagsCommand, build_flags, request_of
from buildclient.cli.running import cancelled_build, run
from buildclient.cli.where import builder_of, complete_value, where_options, where_text
from buildclient.progress.events import Event, Warned, distinct
from buildclient.progress.terminal import Display, choose_mode, open_display, shown
from buildclient.request.callmethod import parse_call
from buildclient.request.destinations import ToStdout
from buildclient.request.outputs import with_default_load
from buildclient.request.values import BuildRequest, BuildResult

if TYPE_CHECKING:
    from buildclient.base.files import Place

__all__ = ["command", "progress_mode"]

_NO_OUTPUT = (
    "no output specified: the result stays in the build cache. "
    "Use --push to push it, --load to load it into a Docker Engine, or -o for a file or folder"
)
_CALL_OUTPUT = "nothing is built with --call: outputs, and --push, are left out"


@click.command("build", cls=FlagsCommand)
@click.argument("context", metavar="PATH|URL|-", shell_complete=complete_value)
@build_flags
@where_options
def command(context: str, **flags: Any) -> int:
    """Start a build; the flags are those of docker buildx build.

    \b
    Examples:
      buildclient build -t registry.example/app:1 --push .
      buildclient build --platform linux/amd64,linux/arm64 -t registry.example/app:1 --push .
      buildclient build -o type=local,dest=out --target binaries .
    """
    for text in oldflags.warnings(flags):
        _warn(text)
    default_load = os.environ.get("BUILDX_NO_DEFAULT_LOAD")
    if default_load is not None and not is_bool(default_load):
        _warn(f"invalid non-bool value for BUILDX_NO_DEFAULT_LOAD: {default_load}")
    if "BUILDKIT_COLORS" in os.environ:
        from buildclient.progress.colours import colour_problems

        for text in colour_problems(os.environ):
            _warn(text)
    stdin = [name for name, value in (("context", context), ("Dockerfile", flags["file"])) if value == "-"]
    if flags["builder_file"] == "-" and stdin:
        raise UsageError(f"standard input cannot be both the builder and the {stdin[0]}")
    where = where_text(flags)
    environ = {**os.environ, "BUILDCLIENT_KEEP": flags["keep"]} if flags["keep"] else None
    builder = builder_of(flags, environ)
    request, mode = _asked(context, flags)
    method = parse_call(flags["call"])
    if method:
        request = request._replace(call=method.name)
    quiet = flags["quiet"] or flags["progress"] == "quiet"
    _check_stdout(request, quiet)
    places = _prepare_files(request, flags)
    if method and request.outputs:
        _warn(_CALL_OUTPUT)
    warnings: list[Warned] = []
    result = run(_built(builder, request, mode, warnings, where), cancelled_build())
    # With --call docker buildx writes no warnings into it.
    _write(result, [] if method else warnings, flags, places)
    response = result.nodes[0].response
    if method:
        from buildclient.cli.call import dockerfile_name, print_answer

        status = print_answer(method, response, dockerfile_name(context, request.dockerfile))
        if status:
            return status
    elif quiet:
        _print_id(result.image_id)
    if message := response.get("frontend.result.inlinemessage"):
        from buildclient.cli.call import print_text

        print_text(f"\n{message}\n")
    return 0


def _warn(text: str) -> None:
    print(f"WARNING: {text}", file=sys.stderr)


def _asked(context: str, flags: Mapping[str, Any]) -> tuple[BuildRequest, str]:
    """The request and the display; of two errors the one that docker buildx comes upon first."""
    try:
        request = request_of(context, flags, os.environ)
    except InvalidBuild:
        progress_mode(flags)
        raise
    return request, progress_mode(flags)


def progress_mode(flags: Mapping[str, Any]) -> str:
    """The display that the flags, the environment and the terminal ask for. Raises UsageError."""
    if not flags["quiet"]:
        mode = choose_mode(flags["progress"], os.environ, sys.stderr.isatty())
        explicit = "tty" in (flags["progress"], os.environ.get("BUILDKIT_PROGRESS"))
        # Lines of the log would tear the display.
        return "plain" if mode == "tty" and debug.enabled() and not explicit else mode
    if flags["progress"] not in ("", "auto", "quiet", "none"):
        raise UsageError(f"progress={flags['progress']} and quiet cannot be used together", flag="--progress")
    return "quiet"


async def _built(builder: Builder, request: BuildRequest, mode: str, warnings: list[Warned], where: str) -> BuildResult:
    with debug.held(mode == "tty"):
        display = open_display(mode, expand_warnings=debug.enabled(), summary=not request.call)
        try:
            result = await _shown(builder, request, display, warnings)
        except BuildFailed:
            from buildclient.cli.closer import closer_look

            if mode in ("plain", "tty") and (line := closer_look(display.progress, where)):
                print(line, file=sys.stderr)
            raise
    if not request.call and not request.outputs and mode != "quiet":
        output = await builder.output_async()
        if not with_default_load(output.default_load, (), builder.environ):
            _warn(_NO_OUTPUT)
    return result


async def _shown(builder: Builder, request: BuildRequest, display: Display, warnings: list[Warned]) -> BuildResult:
    async with shown(display):

        def feed(event: Event) -> None:
            if isinstance(event, Warned):
                warnings.append(event)
            display.feed(event)

        builder.begin(request)
        output = await builder.output_async()
        display.describe(output.name, "remote" if all(node.address for node in output.nodes) else "kubernetes")
        return await builder.build_async(request, feed)


def _prepare_files(request: BuildRequest, flags: Mapping[str, Any]) -> dict[str, Place]:
    """Says before the build what would only be found after it; a failed build leaves no image ID of an older one.

    Gives the places of --iidfile and --metadata-file, of those that are given.
    """
    files = {"--iidfile": flags["iidfile"], "--metadata-file": flags["metadata_file"]}
    files = {flag: path for flag, path in files.items() if path}
    for flag, path in files.items():
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise UsageError(f"{flag}: cannot write {path}: there is no folder {folder}")
        if os.path.isdir(path):
            raise UsageError(f"{flag}: cannot write {path}: it is a folder")
    if not files:
        return {}
    from buildclient.base.files import Place, replaceable

    if "--iidfile" in files:
        if any(output.type in ("local", "tar") for output in request.outputs):
            raise UsageError("local and tar exporters are incompatible with image ID file", flag="--iidfile")
        if replaceable(files["--iidfile"]):
            with contextlib.suppress(OSError):
                os.unlink(files["--iidfile"])
    places = {}
    for flag, path in files.items():
        with _told(flag, path):
            places[flag] = Place(path)
    return places


def _check_stdout(request: BuildRequest, quiet: bool) -> None:
    """Says before the build that its result would be lost. (docker buildx ends with 0, as Go writes to /dev/null.)"""
    wanted = quiet or request.call or any(isinstance(output.dest, ToStdout) for output in request.outputs)
    if wanted and not sys.stdout.writable():
        what = "the answer" if request.call else "the image ID" if quiet else "the result"
        raise UsageError(f"standard output is closed, and {what} goes there")


def _print_id(image_id: str) -> None:
    try:
        print(one_line(image_id), flush=True)
    except OSError as error:
        raise ClientError(f"cannot write the image ID to standard output: {reason(error)}") from None


def _write(result: BuildResult, warnings: list[Warned], flags: Mapping[str, Any], places: Mapping[str, Place]) -> None:
    if flags["iidfile"]:
        with _told("--iidfile", flags["iidfile"]):
            places["--iidfile"].write(result.image_id)
    if flags["metadata_file"]:
        from buildclient.results.metadata import metadata_text

        metadata = dict(result.metadata)
        if warnings and parse_bool(os.environ.get("BUILDX_METADATA_WARNINGS", "")):
            from buildclient.progress.rawjson import warning_object

            metadata["buildx.build.warnings"] = [warning_object(one) for one in distinct(warnings)]
        with _told("--metadata-file", flags["metadata_file"]):
            places["--metadata-file"].write(metadata_text(metadata))


@contextlib.contextmanager
def _told(flag: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{flag}: cannot write {path}: {reason(error)}") from None
