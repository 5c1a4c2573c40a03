"""Checks of a whole request that need no builder, with docker buildx's messages.

Single values are checked where they are parsed (`buildclient.request.make`). Here are the checks across fields, and
the type checks of a BuildRequest that a program constructed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted
from buildclient.contract.platform import Platform
from buildclient.registry.reference import ImageTag
from buildclient.request.annotations import Annotation
from buildclient.request.caches import check_caches
from buildclient.request.destinations import ToContainerd, ToEngine, ToFile, ToFolder, ToStdout
from buildclient.request.flagtext import flagged
from buildclient.request.limits import HostEntry, Ulimit, parse_entitlements
from buildclient.request.outputs import is_archive, loads
from buildclient.request.policy import PolicyConfig
from buildclient.request.secrets import SecretCall, SecretEnv, SecretFile, SecretValue
from buildclient.request.solve import CacheEntry
from buildclient.request.ssh import SshForward, check_ssh
from buildclient.request.values import BuildRequest, Output

__all__ = [
    "check_network",
    "check_no_cache",
    "check_outputs",
    "check_request",
    "check_syntax",
    "check_tagged",
]

_KINDS: Mapping[str, tuple[type[Any], str]] = {
    "tags": (ImageTag, "tags, such as parse_tags gives"),
    "platforms": (Platform, "platforms, such as parse_platforms gives"),
    "outputs": (Output, "outputs, such as parse_outputs gives"),
    "annotations": (Annotation, "annotations, such as parse_annotations gives"),
    "add_hosts": (HostEntry, "host entries, such as parse_hosts gives"),
    "ulimits": (Ulimit, "ulimits, such as parse_ulimits gives"),
    "cache_from": (CacheEntry, "cache entries, such as parse_cache gives"),
    "cache_to": (CacheEntry, "cache entries, such as parse_cache gives"),
    "policies": (PolicyConfig, "policies, such as parse_policies gives"),
    "ssh": (SshForward, "SSH forwards, such as parse_ssh gives"),
    "no_cache_filter": (str, "names of stages"),
    "allow": (str, "names of entitlements"),
}
"""Fields that are tuples, and the types of their elements."""


def check_request(request: BuildRequest) -> None:
    """Checks the types in a BuildRequest that a program constructed itself. Raises UsageError."""
    _check_kinds(request)
    for flag, check in _CHECKS:
        with flagged(flag):
            check(request)


def _check_kinds(request: BuildRequest) -> None:
    for name, (kind, words) in _KINDS.items():
        value = getattr(request, name)
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise UsageError(f"{name} of a request must be a tuple, not {value!r}", hint="build_request takes texts")
        if not all(isinstance(one, kind) for one in value):
            raise UsageError(f"{name} of a request must be {words}", hint="build_request takes texts")
    # Neither is shown: a secret may be anywhere in them.
    if not isinstance(request.secrets, Mapping):
        raise UsageError("secrets of a request must be a mapping", hint="build_request takes texts")
    if not all(isinstance(one, (SecretFile, SecretEnv, SecretValue, SecretCall)) for one in request.secrets.values()):
        raise UsageError("secrets of a request must be secrets, such as SecretFile", hint="build_request takes bytes")
    for output in request.outputs:
        if output.type == "registry":
            raise UsageError("outputs of a request must be outputs, such as parse_outputs gives")
        _check_dest(output)


def _check_dest(output: Output) -> None:
    kinds: tuple[type, ...] = ()
    if is_archive(output):
        kinds = (ToFile, ToStdout) if output.type == "tar" else (ToFile, ToStdout, ToEngine, ToContainerd)
    elif output.type in ("local", "oci", "docker"):
        kinds = (ToFolder,)
    if kinds and output.dest is None:
        raise InvalidBuild(f"dest is required for {output.type} exporter")
    if output.dest is not None and not isinstance(output.dest, kinds):
        named = " or ".join(kind.__name__ for kind in kinds) or "None"
        raise UsageError(f"dest of an output of type {output.type} must be {named}, not {output.dest!r}")


def check_no_cache(request: BuildRequest) -> None:
    """Refuses `--no-cache` together with `--no-cache-filter`. Raises InvalidBuild."""
    if request.no_cache and request.no_cache_filter:
        raise InvalidBuild("--no-cache and --no-cache-filter cannot currently be used together")


def check_syntax(request: BuildRequest) -> None:
    """Checks that a build argument BUILDKIT_SYNTAX names a frontend image. Raises InvalidBuild."""
    if not request.build_args.get("BUILDKIT_SYNTAX", "some").strip():
        raise InvalidBuild(
            "empty BUILDKIT_SYNTAX build-arg is invalid, "
            "use --build-arg BUILDKIT_SYNTAX without '=' for optional behavior"
        )


def check_tagged(request: BuildRequest) -> None:
    """Checks that an image to be pushed has a name. Raises InvalidBuild."""
    if not request.tags and any(output.push and not output.attrs.get("name") for output in request.outputs):
        raise InvalidBuild("tag is needed when pushing to registry")


def check_network(request: BuildRequest) -> None:
    """Checks that BuildKit knows the network mode. Raises InvalidBuild."""
    if request.network not in ("", "default", "host", "none"):
        raise InvalidBuild(f"network mode {go_quoted(request.network)} not supported by buildkit: use host or none")


def check_outputs(request: BuildRequest) -> None:
    """Refuses a docker archive for several platforms or with attestations. Raises InvalidBuild.

    What goes into an engine is fitted to it (`buildclient.results.loads`).
    """
    archives = [one for one in request.outputs if one.type == "docker" and not loads([one])]
    if archives and (len(request.platforms) > 1 or any(value is not None for value in request.attests.values())):
        raise InvalidBuild("docker exporter does not support exporting manifest lists, use the oci exporter instead")


_CHECKS: tuple[tuple[str, Callable[[BuildRequest], object]], ...] = (
    ("--allow", lambda request: parse_entitlements(request.allow)),
    ("--no-cache-filter", check_no_cache),
    ("--build-arg", check_syntax),
    ("--tag", check_tagged),
    ("--network", check_network),
    ("--output", check_outputs),
    ("--cache-to", check_caches),
    ("--ssh", lambda request: check_ssh(request.ssh)),
)
