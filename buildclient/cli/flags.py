"""The flags of `buildclient build`, and how their texts become a request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from buildclient.cli import oldflags
from buildclient.cli.argv import Flag, read
from buildclient.cli.where import complete_value
from buildclient.progress.terminal import MODES
from buildclient.request.make import build_request
from buildclient.request.tries import parse_retries, parse_timeout
from buildclient.request.values import BuildRequest

__all__ = ["FlagsCommand", "build_flags", "request_of"]

_F = TypeVar("_F", bound=Callable[..., Any])
_FIELDS = {
    "add_host": "add_hosts",
    "annotation": "annotations",
    "attest": "attests",
    "build_arg": "build_args",
    "build_context": "build_contexts",
    "file": "dockerfile",
    "label": "labels",
    "output": "outputs",
    "platform": "platforms",
    "policy": "policies",
    "resource": "resources",
    "secret": "secrets",
    "tag": "tags",
    "ulimit": "ulimits",
    **{
        name: name
        for name in """
        allow cache_from cache_to cgroup_parent load network no_cache no_cache_filter provenance pull push routing_key
        sbom shm_size ssh target
        """.split()  # noqa: SIM905 - a table of 16 lines otherwise
    },
}
"""Names of flags, and what they are called in a request: there, what may be several has a plural."""
# flag names, (metavar or None for a switch), help; flags with "…" in their metavar may be given several times
_FLAGS: tuple[tuple[tuple[str, ...], str | None, str], ...] = (
    (("--add-host",), "HOST:IP…", "Add a custom host-to-IP mapping."),
    (
        ("--allow",),
        "ENTITLEMENT…",
        "Allow an extra entitlement, such as network.host, security.insecure or buildx.local.delete.",
    ),
    (("--annotation",), "[TYPE:]KEY=VALUE…", "Add an annotation to the image."),
    (("--attest",), "type=TYPE,…", "Attestation parameters."),
    (("--build-arg",), "KEY=VALUE…", "Set a build-time variable."),
    (("--build-context",), "NAME=PATH…", "An additional build context."),
    (("--cache-from",), "REF|type=…,…", "An external cache source."),
    (("--cache-to",), "REF|type=…,…", "A cache export destination."),
    (("--call",), "METHOD", "Ask for check, outline or targets instead of building; METHOD[,format=json]."),
    (("--cgroup-parent",), "NAME", "The parent cgroup for RUN instructions."),
    (("--check",), None, "Shorthand for --call=check."),
    (("-f", "--file"), "PATH", "Name of the Dockerfile (default PATH/Dockerfile)."),
    (("--iidfile",), "FILE", "Write the image ID to a file."),
    (("--keep",), "DURATION", "Keep the connections to the builder for the next command, such as 10m (default: not)."),
    (("--label",), "KEY=VALUE…", "Set a label of the image."),
    (("--load",), None, "Load the image into a Docker Engine, Podman or containerd: -o type=docker."),
    (("--metadata-file",), "FILE", "Write the build's result metadata to a file."),
    (("--network",), "MODE", "Network of RUN instructions: default, none or host."),
    (("--no-cache",), None, "Do not use the cache."),
    (("--no-cache-filter",), "STAGE…", "Do not use the cache for these stages."),
    (("-o", "--output"), "type=TYPE,dest=PATH,…", "Output destination: image, registry, oci, docker, tar, local."),
    (("--platform",), "OS/ARCH[/VARIANT]…", "Target platforms, comma-separated or several flags."),
    (("--policy",), "filename=PATH,…", "Policies for sources; disabled=true for none."),
    (("--progress",), "MODE", f"Progress on standard error: {', '.join(MODES)}."),
    (("--provenance",), "VALUE", "Shorthand for --attest=type=provenance."),
    (("--pull",), None, "Always attempt to pull all referenced images."),
    (("--push",), None, "Push the result to its registry: -o type=registry."),
    (("-q", "--quiet"), None, "No progress; print the image ID."),
    (("--resource",), "NAME=VALUE…", "A limit of RUN instructions, such as memory=2g or cpu-quota=50000."),
    (
        ("--retries",),
        "N",
        "How often a part of the build is taken up again after its BuildKit was lost (default 2; 0 for never).",
    ),
    (("--routing-key",), "KEY", "The key that leads this build to a pod (default: repository, path, Dockerfile…)."),
    (("--sbom",), "VALUE", "Shorthand for --attest=type=sbom."),
    (("--secret",), "id=ID[,src=PATH]…", "A secret for RUN --mount=type=secret: a file, or env=VARIABLE."),
    (("--shm-size",), "BYTES", "Size of /dev/shm, such as 64m."),
    (("--ssh",), "default|ID[=PATH]…", "An SSH agent's socket, or keys, for RUN --mount=type=ssh."),
    (("-t", "--tag"), "NAME[:TAG]…", "Name of the image."),
    (("--target",), "STAGE", "The stage to build."),
    (("--timeout",), "DURATION", "End the build after this time, retries included, such as 30m (default: no limit)."),
    (("--ulimit",), "NAME=SOFT[:HARD]…", "A limit of RUN instructions."),
)


_OTHERS_VALUE = {"--check": Flag("--check", switch=True, means="--call=check"), "--print": Flag("--call")}
"""Flags that set the value of another: the last of them on a command line counts."""


class FlagsCommand(click.Command):
    """A command whose flags are read as docker buildx's are, and which warns of old ones that do nothing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # A line that a shell completes ends anywhere.
            return super().parse_args(ctx, args)
        flags: dict[str, Flag] = {}
        for option in self.params:
            if isinstance(option, click.Option):
                long = max(option.opts, key=len)
                short = next((name for name in option.opts if not name.startswith("--")), "")
                old = long in oldflags.SWITCHES
                flag = Flag(long, short, option.is_flag or old, kept=old)
                flags.update(dict.fromkeys(option.opts, flag))
        flags.update(_OTHERS_VALUE)
        flags.update(dict.fromkeys(ctx.help_option_names, Flag("--help", "-h", switch=True)))
        return super().parse_args(ctx, read(args, flags))


def build_flags(function: _F) -> _F:
    """Adds the flags to a command."""
    for name in oldflags.IGNORED:
        function = click.option(name, hidden=True, multiple=True)(function)
    for name, short in oldflags.LIMITS.items():
        function = click.option(name, *short, hidden=True, multiple=True)(function)
    function = click.option("--print", hidden=True, expose_value=False)(function)
    for names, metavar, text in reversed(_FLAGS):
        settings: dict[str, Any] = {"help": text, "shell_complete": complete_value}
        if metavar is None:
            settings["is_flag"] = True
        else:
            settings.update(metavar=metavar, multiple="…" in metavar, default=() if "…" in metavar else "")
            if names == ("--shm-size",):  # No size but none at all is empty.
                settings["default"] = None
        function = click.option(*names, **settings)(function)
    return function


def request_of(context: str, flags: Mapping[str, Any], environ: Mapping[str, str]) -> BuildRequest:
    """The request that a command line means. Raises UsageError."""
    fields = {field: flags[flag] for flag, field in _FIELDS.items()}
    fields["resources"] = (*oldflags.limits(flags), *flags["resource"])
    return build_request(
        context,
        **fields,
        metadata_provenance=_metadata_provenance(environ) if flags["metadata_file"] else "",
        retries=parse_retries(flags["retries"], environ),
        timeout=parse_timeout(flags["timeout"]),
        environ=environ,
        machine=_machine(),
    )


def _metadata_provenance(environ: Mapping[str, str]) -> str:
    from buildclient.daemon.provenance import metadata_mode

    return metadata_mode(environ.get("BUILDX_METADATA_PROVENANCE", ""))


def _machine() -> str:
    """This machine's platform."""
    machine = os.uname()
    return f"{machine.sysname.lower()}/{machine.machine}"
