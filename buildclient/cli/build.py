"""`buildclient build`: the flags of `docker buildx build` to a request, its result to streams and files."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import click

from buildclient.adapters.terminal import MODES, choose_mode, open_display, shown
from buildclient.api import Client
from buildclient.cli.where import client_of, where_options
from buildclient.core.attrs import check_request, provenance_by_default
from buildclient.core.errors import Cancelled, UsageError
from buildclient.core.flags import key_values, parse_attests, parse_cache, parse_context_names, parse_size
from buildclient.core.outputs import build_outputs, parse_output
from buildclient.core.request import BuildRequest, BuildResult
from contract.platform import Platform, PlatformError, parse_platforms

__all__ = ["command"]

# flag names, (metavar or None for a switch), help; flags with "…" in their metavar may be given several times
_FLAGS: tuple[tuple[tuple[str, ...], str | None, str], ...] = (
    (("--add-host",), "HOST:IP…", "Add a custom host-to-IP mapping."),
    (("--allow",), "ENTITLEMENT…", "Allow an extra entitlement, such as network.host or security.insecure."),
    (("--annotation",), "[TYPE:]KEY=VALUE…", "Add an annotation to the image."),
    (("--attest",), "type=TYPE,…", "Attestation parameters."),
    (("--build-arg",), "KEY=VALUE…", "Set a build-time variable."),
    (("--build-context",), "NAME=PATH…", "An additional build context."),
    (("--cache-from",), "REF|type=…,…", "An external cache source."),
    (("--cache-to",), "REF|type=…,…", "A cache export destination."),
    (("--cgroup-parent",), "NAME", "The parent cgroup for RUN instructions."),
    (("-f", "--file"), "PATH", "Name of the Dockerfile (default PATH/Dockerfile)."),
    (("--iidfile",), "FILE", "Write the image ID to a file."),
    (("--label",), "KEY=VALUE…", "Set a label of the image."),
    (("--load",), None, "Refused: there is no Docker daemon here; says what to use."),
    (("--metadata-file",), "FILE", "Write the build's result metadata to a file."),
    (("--network",), "MODE", "Network of RUN instructions: default, none or host."),
    (("--no-cache",), None, "Do not use the cache."),
    (("--no-cache-filter",), "STAGE…", "Do not use the cache for these stages."),
    (("-o", "--output"), "type=TYPE,dest=PATH,…", "Output destination: image, registry, oci, docker, tar, local."),
    (("--platform",), "OS/ARCH[/VARIANT]…", "Target platforms, comma-separated or several flags."),
    (("--progress",), "MODE", f"Progress on standard error: {', '.join(MODES)}."),
    (("--provenance",), "VALUE", "Shorthand for --attest=type=provenance."),
    (("--pull",), None, "Always attempt to pull all referenced images."),
    (("--push",), None, "Push the result to its registry."),
    (("-q", "--quiet"), None, "No progress; print the image ID."),
    (("--routing-key",), "KEY", "The key that leads this build to a pod (default: repository, path, Dockerfile…)."),
    (("--sbom",), "VALUE", "Shorthand for --attest=type=sbom."),
    (("--shm-size",), "BYTES", "Size of /dev/shm, such as 64m."),
    (("-t", "--tag"), "NAME[:TAG]…", "Name of the image."),
    (("--target",), "STAGE", "The stage to build."),
    (("--ulimit",), "NAME=SOFT[:HARD]…", "A limit of RUN instructions."),
)


def _options(function: Any) -> Any:
    for names, metavar, text in reversed(_FLAGS):
        settings: dict[str, Any] = {"help": text}
        if metavar is None:
            settings["is_flag"] = True
        else:
            settings.update(metavar=metavar, multiple="…" in metavar, default=() if "…" in metavar else "")
        function = click.option(*names, **settings)(function)
    return function


@click.command("build")
@click.argument("context", metavar="PATH|URL|-")
@_options
@where_options
def command(context: str, **flags: Any) -> int:
    """Start a build; the flags are those of docker buildx build.

    \b
    Examples:
      buildclient build -t registry.example/app:1 --push .
      buildclient build --platform linux/amd64,linux/arm64 -t registry.example/app:1 --push .
      buildclient build -o type=local,dest=out --target binaries .
    """
    client = client_of(flags)
    mode = "quiet" if flags["quiet"] else choose_mode(flags["progress"], os.environ, sys.stderr.isatty())
    request = _request(context, flags)
    check_request(request)
    if not request.outputs and mode != "quiet":
        print(
            "WARNING: no output specified: the result stays in the build cache. "
            "Use --push to push it, or -o for a file or folder",
            file=sys.stderr,
        )
    result = asyncio.run(_run(client, request, mode))
    _write(result, flags)
    if mode == "quiet":
        print(result.image_id)
    return 0


async def _run(client: Client, request: BuildRequest, mode: str) -> BuildResult:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        async with shown(open_display(mode)) as display:
            return await client.build_async(request, display.feed)
    except asyncio.CancelledError:
        raise Cancelled("failed to build: failed to solve: Canceled: context canceled") from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _request(context: str, flags: dict[str, Any]) -> BuildRequest:
    environ = os.environ
    attests = parse_attests(flags["attest"], flags["provenance"], flags["sbom"])
    if not provenance_by_default(environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")):
        attests.setdefault("provenance", None)
    return BuildRequest(
        context=context,
        dockerfile=flags["file"],
        target=flags["target"],
        tags=tuple(flags["tag"]),
        platforms=_platforms(flags["platform"] or [environ.get("DOCKER_DEFAULT_PLATFORM", "")]),
        outputs=build_outputs([parse_output(o) for o in flags["output"]], push=flags["push"], load=flags["load"]),
        build_args=key_values(flags["build_arg"], "--build-arg", environ),
        labels=key_values(flags["label"], "--label"),
        annotations=tuple(flags["annotation"]),
        build_contexts=parse_context_names(flags["build_context"]),
        no_cache=flags["no_cache"],
        no_cache_filter=tuple(stage for item in flags["no_cache_filter"] for stage in item.split(",")),
        pull=flags["pull"],
        attests=attests,
        allow=tuple(flags["allow"]),
        add_hosts=tuple(flags["add_host"]),
        network=flags["network"],
        shm_size=parse_size(flags["shm_size"], "--shm-size") if flags["shm_size"] else 0,
        ulimits=tuple(flags["ulimit"]),
        cgroup_parent=flags["cgroup_parent"],
        cache_from=parse_cache(flags["cache_from"], "--cache-from"),
        cache_to=parse_cache(flags["cache_to"], "--cache-to"),
        routing_key=flags["routing_key"],
        source_date_epoch=environ.get("SOURCE_DATE_EPOCH", ""),
    )


def _platforms(texts: list[str] | tuple[str, ...]) -> tuple[Platform, ...]:
    try:
        return parse_platforms(texts)
    except PlatformError as error:
        raise UsageError(f"failed to build: {error}") from None


def _write(result: BuildResult, flags: dict[str, Any]) -> None:
    import json

    files = {
        "iidfile": result.image_id,
        "metadata_file": json.dumps(result.metadata, indent=2, ensure_ascii=False),
    }
    for flag, text in files.items():
        if not flags[flag]:
            continue
        beside = f"{flags[flag]}.{os.getpid()}"
        try:
            with open(beside, "w", encoding="utf-8") as target:
                target.write(text)
            os.replace(beside, flags[flag])
        except OSError as error:
            raise UsageError(f"--{flag.replace('_', '-')}: cannot write {flags[flag]}: {error.strerror}") from None
