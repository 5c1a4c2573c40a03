"""From a request to the solve of one node: exactly the attributes that docker buildx 0.38 would send.

Pure; what lies on disk (context, Dockerfile, Git) was looked at before and comes in as attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_json, is_bool, parse_bool
from buildclient.contract.platform import Platform, format_platforms
from buildclient.registry.reference import InvalidReference, parse_reference, parse_tag, registry_host, repositories
from buildclient.request.annotations import annotation_attrs
from buildclient.request.destinations import ToFile, ToFolder, ToStdout
from buildclient.request.flagtext import flagged
from buildclient.request.limits import check_entitlement, parse_host, parse_ulimits
from buildclient.request.outputs import is_archive
from buildclient.request.solve import CacheEntry, Exporter, SolveRequest
from buildclient.request.values import BuildRequest, Output

__all__ = [
    "check_request",
    "image_names",
    "insecure_registries",
    "provenance_by_default",
    "pushes",
    "solve_request",
    "with_proxies",
    "without_artifacts",
]

_NAMED = ("image", "oci", "docker")


def check_request(request: BuildRequest) -> None:
    """Raises UsageError for what can be told without a builder, in the order and words of docker buildx."""
    for flag, check in _CHECKS:
        with flagged(flag):
            check(request)


def _check_kinds(request: BuildRequest) -> None:
    """What the command line cannot get wrong, a program can."""
    for name in ("tags", "outputs", "annotations", "no_cache_filter", "allow", "add_hosts", "ulimits"):
        if isinstance(getattr(request, name), str):
            raise InvalidBuild(f"{name} of a request must be a tuple, not a text")
    if not all(isinstance(platform, Platform) for platform in request.platforms):
        raise InvalidBuild("platforms of a request must be platforms, such as parse_platforms gives")
    for output in request.outputs:
        if not isinstance(output, Output) or output.type == "registry":
            raise InvalidBuild("outputs of a request must be outputs, such as parse_outputs gives")
        _check_dest(output)


def _check_dest(output: Output) -> None:
    kinds: tuple[type, ...] = ()
    if is_archive(output):
        kinds = (ToFile, ToStdout)
    elif output.type in ("local", "oci", "docker"):
        kinds = (ToFolder,)
    if kinds and output.dest is None:
        raise InvalidBuild(f"dest is required for {output.type} exporter")
    if output.dest is not None and not isinstance(output.dest, kinds):
        named = " or ".join(kind.__name__ for kind in kinds) or "None"
        raise InvalidBuild(f"dest of an output of type {output.type} must be {named}, not {output.dest!r}")


def _check_no_cache(request: BuildRequest) -> None:
    if request.no_cache and request.no_cache_filter:
        raise InvalidBuild("--no-cache and --no-cache-filter cannot currently be used together")


def _check_tags(request: BuildRequest) -> None:
    for tag in request.tags:
        try:
            parse_tag(tag)
        except InvalidReference as error:
            raise InvalidBuild(f'invalid tag "{tag}": {error}') from None
    if not request.tags and any(output.push and not output.attrs.get("name") for output in request.outputs):
        raise InvalidBuild("tag is needed when pushing to registry")


def _check_syntax(request: BuildRequest) -> None:
    if not request.build_args.get("BUILDKIT_SYNTAX", "some").strip():
        raise InvalidBuild(
            "empty BUILDKIT_SYNTAX build-arg is invalid, "
            "use --build-arg BUILDKIT_SYNTAX without '=' for optional behavior"
        )


def _check_network(request: BuildRequest) -> None:
    if request.network not in ("", "default", "host", "none"):
        raise InvalidBuild(f'network mode "{request.network}" not supported by buildkit: use host or none')


def _check_outputs(request: BuildRequest) -> None:
    if any(output.type == "docker" for output in request.outputs) and (
        len(request.platforms) > 1 or any(value is not None for value in request.attests.values())
    ):
        raise InvalidBuild("docker exporter does not support exporting manifest lists, use the oci exporter instead")


def _check_all(check: Callable[[str], object], texts: Sequence[str]) -> None:
    for text in texts:
        check(text)


_CHECKS: tuple[tuple[str, Callable[[BuildRequest], object]], ...] = (
    ("", _check_kinds),
    ("--ulimit", lambda request: parse_ulimits(request.ulimits)),
    ("--allow", lambda request: _check_all(check_entitlement, request.allow)),
    ("--no-cache-filter", _check_no_cache),
    ("--build-arg", _check_syntax),
    ("--annotation", lambda request: annotation_attrs(request.annotations)),
    ("--tag", _check_tags),
    ("--network", _check_network),
    ("--output", _check_outputs),
    ("--add-host", lambda request: _check_all(parse_host, request.add_hosts)),
)


def solve_request(
    request: BuildRequest,
    platforms: Sequence[Platform],
    *,
    ref: str,
    context_attrs: Mapping[str, str],
    shared_key: str = "",
    several_nodes: bool = False,
) -> SolveRequest:
    """One node's share of a build.

    `context_attrs` say what the context and the Dockerfile are. With `several_nodes` each node makes an index and
    pushes by digest, without tags. Raises UsageError.
    """
    check_request(request)
    frontend, attrs = "dockerfile.v0", dict(context_attrs)
    syntax = request.build_args.get("BUILDKIT_SYNTAX")
    if syntax is not None:
        frontend = "gateway.v0"
        attrs["source"] = syntax.strip().split(" ", 1)[0]
        attrs["cmdline"] = syntax
    if several_nodes or parse_bool(request.build_args.get("BUILDKIT_MULTI_PLATFORM", "")):
        attrs["multi-platform"] = "true"
    for kind, parameters in request.attests.items():
        if parameters is not None:
            attrs[f"attest:{kind}"] = parameters
    if "provenance" not in request.attests:
        attrs["attest:provenance"] = "mode=min,inline-only=true"
    attrs.update(_build_attrs(request))
    if platforms:
        attrs["platform"] = format_platforms(platforms)
    entitlements = list(request.allow)
    if request.network == "host":
        entitlements.append("network.host")
    exports = [_cache(entry) for entry in request.cache_to]
    if parse_bool(request.build_args.get("BUILDKIT_INLINE_CACHE", "")):
        exports.append(CacheEntry("inline"))
    imports = tuple(_cache(entry) for entry in request.cache_from)
    if imports:
        attrs["cache-imports"] = go_json([{"Type": e.type, "Attrs": dict(sorted(e.attrs.items()))} for e in imports])
    return SolveRequest(
        ref=ref,
        frontend=frontend,
        frontend_attrs=attrs,
        exporters=_exporters(request, several_nodes=several_nodes),
        cache_exports=tuple(exports),
        cache_imports=imports,
        entitlements=tuple(entitlements),
        shared_key=shared_key,
    )


def _build_attrs(request: BuildRequest) -> dict[str, str]:
    arguments = dict(request.build_args)
    if request.source_date_epoch:
        arguments.setdefault("SOURCE_DATE_EPOCH", request.source_date_epoch)
    attrs = {f"build-arg:{key}": value for key, value in arguments.items()}
    attrs.update({f"label:{key}": value for key, value in request.labels.items()})
    optional = {
        "image-resolve-mode": "pull" if request.pull else "",
        "target": request.target,
        "no-cache": ",".join(request.no_cache_filter),
        "cgroup-parent": request.cgroup_parent,
        "force-network-mode": request.network if request.network in ("host", "none") else "",
        "add-hosts": ",".join(entry for host in request.add_hosts for entry in parse_host(host)),
        "shm-size": str(request.shm_size or ""),
        "ulimit": ",".join(parse_ulimits(request.ulimits)),
    }
    attrs.update({key: value for key, value in optional.items() if value})
    if request.no_cache:
        attrs["no-cache"] = ""
    return attrs


def _exporters(request: BuildRequest, *, several_nodes: bool) -> tuple[Exporter, ...]:
    annotations = annotation_attrs(request.annotations)
    exporters = []
    pushed = False
    for output in request.outputs:
        if output.type == "cacheonly":
            continue
        attrs = {**output.attrs, **annotations}
        if request.tags and output.type in _NAMED:
            attrs["name"] = ",".join(request.tags)
        if "BUILDKIT_INLINE_BUILDINFO_ATTRS" in request.build_args and output.type in _NAMED:
            attrs["buildinfo-attrs"] = request.build_args["BUILDKIT_INLINE_BUILDINFO_ATTRS"]
        if several_nodes and output.push and not pushed:
            # Tag and digest cannot both be pushed: the tags are put on the merged index alone.
            attrs["name"] = ",".join(_repositories(attrs.get("name", "").split(",")))
            attrs["push-by-digest"] = "true"
            pushed = True
        exporters.append(Exporter(output.type, attrs))
    return tuple(exporters)


def _repositories(names: Sequence[str]) -> tuple[str, ...]:
    try:
        return repositories(names)
    except InvalidReference as error:
        raise InvalidBuild(f"{error}") from None


def _cache(entry: Mapping[str, str]) -> CacheEntry:
    return CacheEntry(entry["type"], {key: value for key, value in entry.items() if key != "type"})


def with_proxies(request: BuildRequest, proxies: Mapping[str, str]) -> BuildRequest:
    """The request with build arguments for these proxies, except for those it has in any case of letters."""
    given = {name.upper() for name in request.build_args}
    missing = {name: value for name, value in proxies.items() if name not in given}
    return request._replace(build_args={**request.build_args, **missing}) if missing else request


def pushes(outputs: Sequence[Output]) -> bool:
    """Whether any output goes to a registry."""
    return any(output.push for output in outputs)


def image_names(request: BuildRequest) -> tuple[str, ...]:
    """The names under which the build's image is pushed: the tags, else the output's `name`. Raises UsageError."""
    output = next(output for output in request.outputs if output.push)
    names = request.tags or tuple(name for name in output.attrs.get("name", "").split(",") if name)
    if not names:
        raise InvalidBuild("tag is needed when pushing to registry")
    return names


def insecure_registries(request: BuildRequest) -> tuple[str, ...]:
    """Hosts that the pushing output takes as insecure (its attribute `registry.insecure`)."""
    insecure = any(output.push and parse_bool(output.attrs.get("registry.insecure", "")) for output in request.outputs)
    names = image_names(request) if insecure else ()
    return tuple(registry_host(parse_reference(name).domain) for name in names)


def provenance_by_default(value: str | None) -> bool:
    """Whether BUILDX_NO_DEFAULT_ATTESTATIONS leaves the default provenance on. Raises UsageError."""
    return not _switch("BUILDX_NO_DEFAULT_ATTESTATIONS", value)


def without_artifacts(outputs: Sequence[Output], value: str | None) -> tuple[Output, ...]:
    """Outputs as BUILDX_NO_DEFAULT_OCI_ARTIFACT wants attestations: not as OCI artifacts, which old registries refuse.

    Raises UsageError.
    """
    if not _switch("BUILDX_NO_DEFAULT_OCI_ARTIFACT", value):
        return tuple(outputs)
    return tuple(
        output._replace(attrs={"oci-artifact": "false", **output.attrs}) if output.type in ("image", "oci") else output
        for output in outputs
    )


def _switch(name: str, value: str | None) -> bool:
    if value is None:
        return False
    if not is_bool(value):
        raise InvalidBuild(f'invalid {name}: strconv.ParseBool: parsing "{value}": invalid syntax')
    return parse_bool(value)
