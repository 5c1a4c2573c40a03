"""`buildclient build`: a request from flags, and the request's result to streams and files."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import click

from buildclient.adapters.terminal import choose_mode, open_display, shown
from buildclient.api import Client
from buildclient.cli.flags import FlagsCommand, build_flags, build_request
from buildclient.cli.where import client_of, where_options
from buildclient.core.attrs import check_request
from buildclient.core.errors import Cancelled, UsageError
from buildclient.core.request import BuildRequest, BuildResult

__all__ = ["command"]

_CANCELLED = "failed to build: failed to solve: Canceled: context canceled"
_NO_OUTPUT = (
    "WARNING: no output specified: the result stays in the build cache. "
    "Use --push to push it, or -o for a file or folder"
)


@click.command("build", cls=FlagsCommand)
@click.argument("context", metavar="PATH|URL|-")
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
    mode = _mode(flags)
    client = client_of(flags)
    request = build_request(context, flags, os.environ)
    check_request(request)
    if not request.outputs and mode != "quiet":
        print(_NO_OUTPUT, file=sys.stderr)
    result = asyncio.run(_run(client, request, mode))
    _write(result, flags)
    if mode == "quiet":
        print(result.image_id)
    return 0


def _mode(flags: Mapping[str, Any]) -> str:
    if not flags["quiet"]:
        return choose_mode(flags["progress"], os.environ, sys.stderr.isatty())
    if flags["progress"] not in ("", "auto", "quiet"):
        raise UsageError(f"--progress={flags['progress']} and --quiet cannot be used together")
    return "quiet"


async def _run(client: Client, request: BuildRequest, mode: str) -> BuildResult:
    """Builds; the first signal ends the build in order, the second at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = 0

    def stop() -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(Cancelled.exit_status)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with shown(open_display(mode)) as display:
            return await client.build_async(request, display.feed)
    except asyncio.CancelledError:
        raise Cancelled(_CANCELLED) from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _write(result: BuildResult, flags: Mapping[str, Any]) -> None:
    if flags["iidfile"]:
        _replace(flags["iidfile"], result.image_id, "--iidfile")
    if flags["metadata_file"]:
        import json

        ordered = dict(sorted(result.metadata.items()))
        _replace(flags["metadata_file"], json.dumps(ordered, indent=2, ensure_ascii=False), "--metadata-file")


def _replace(path: str, text: str, flag: str) -> None:
    """Writes a file in one go: readers see all of it or what was there before."""
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "w", encoding="utf-8") as target:
            target.write(text)
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(f"{flag}: cannot write {path}: {(error.strerror or str(error)).lower()}") from None
