"""Turns a request into the solve of one node, with exactly the attributes that docker buildx 0.38 sends.

Pure: what was read from disk (context, Dockerfile, Git) comes in as attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from buildclient.base.errors import InvalidBuild
from buildclient.base.gotext import go_json, parse_bool
from buildclient.contract.patterns import pattern
from buildclient.contract.platform import Platform, PlatformError, format_platforms, parse_platform
from buildclient.registry.reference import InvalidReference, parse_reference, registry_host, repositories
from buildclient.request.annotations import annotation_attrs
from buildclient.request.destinations import ToEngine
from buildclient.request.limits import LOCAL_DELETE
from buildclient.request.solve import CacheEntry, Exporter, SolveRequest
from buildclient.request.values import BuildRequest, Output

__all__ = [
    "IMAGE_TYPES",
    "image_names",
    "insecure_registries",
    "provenance_is_kept",
    "push_once",
    "pushes",
    "solve_request",
    "with_proxies",
]

IMAGE_TYPES = ("image", "oci")
"""Exporters that write images of any media type."""
_NAMED = ("image", "oci", "docker")
_ANNOTATED = pattern(r"annotation(?:-[a-z-]+)?\[([^\]]+)\]\.")


def solve_request(
    request: BuildRequest,
    platforms: Sequence[Platform],
    *,
    ref: str,
    context_attrs: Mapping[str, str],
    frontend_inputs: Mapping[str, bytes] = {},
    shared_key: str = "",
    several_nodes: bool = False,
    image_attrs: Mapping[str, str] = {},
) -> SolveRequest:
    """Returns one node's share of a build.

    `context_attrs` and `frontend_inputs` describe the context and the Dockerfile, `image_attrs` are defaults of outputs
    that are images.
    With `several_nodes` each node makes an index and pushes it by digest, without tags. Raises UsageError.
    """
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
    entitlements = [name for name in request.allow if name != LOCAL_DELETE]
    if request.network == "host":
        entitlements.append("network.host")
    exports = [*_sent_exports(request.cache_to)]
    if parse_bool(request.build_args.get("BUILDKIT_INLINE_CACHE", "")):
        exports.append(CacheEntry("inline"))
    imports = request.cache_from
    if imports:
        attrs["cache-imports"] = go_json([{"Type": e.type, "Attrs": dict(sorted(e.attrs.items()))} for e in imports])
    return SolveRequest(
        ref=ref,
        frontend=frontend,
        frontend_attrs=attrs,
        frontend_inputs=frontend_inputs,
        exporters=_exporters(
            request, set(request.platforms) - set(platforms), image_attrs, several_nodes=several_nodes
        ),
        cache_exports=tuple(exports),
        cache_imports=imports,
        entitlements=tuple(entitlements),
        shared_key=shared_key,
        source_policy=request.source_policy,
        internal=bool(request.call),
    )


def provenance_is_kept(request: BuildRequest) -> bool:
    """Returns whether a build's provenance gets out of the daemon: with an image, as a file or in the metadata."""
    if request.metadata_provenance:
        return True
    if "provenance" in request.attests:
        return request.attests["provenance"] is not None
    return any(output.type in IMAGE_TYPES for output in request.outputs)


def _sent_exports(entries: Sequence[CacheEntry]) -> Sequence[CacheEntry]:
    if not any(entry.type == "local" for entry in entries):
        return entries
    from buildclient.request.localcache import export_entry

    return [export_entry(entry) if entry.type == "local" else entry for entry in entries]


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
        "add-hosts": ",".join(map(str, request.add_hosts)),
        "shm-size": str(request.shm_size or ""),
        "ulimit": ",".join(map(str, request.ulimits)),
    }
    attrs.update({key: value for key, value in optional.items() if value})
    attrs.update(request.resources.attrs)
    if request.no_cache:
        attrs["no-cache"] = ""
    return attrs


def _exporters(
    request: BuildRequest, elsewhere: Set[Platform], image_attrs: Mapping[str, str], *, several_nodes: bool
) -> tuple[Exporter, ...]:
    """`elsewhere` are the platforms that other nodes build."""
    annotations = annotation_attrs(request.annotations)
    exporters = []
    for output in request.outputs:
        if output.type == "cacheonly" or (several_nodes and _loads_another(output, elsewhere)):
            continue
        defaults = image_attrs if output.type in IMAGE_TYPES else {}
        attrs = _without(elsewhere, {**defaults, **output.attrs, **annotations})
        if request.tags and output.type in _NAMED:
            attrs["name"] = ",".join(request.tags)
        if "BUILDKIT_INLINE_BUILDINFO_ATTRS" in request.build_args and output.type in _NAMED:
            attrs["buildinfo-attrs"] = request.build_args["BUILDKIT_INLINE_BUILDINFO_ATTRS"]
        if several_nodes and output.push:
            # Only the merged index gets the tags; a node pushes by digest.
            attrs["name"] = ",".join(_repositories(attrs.get("name", "").split(",")))
            attrs["push-by-digest"] = "true"
        exporters.append(Exporter(output.type, attrs))
    return tuple(exporters)


def _loads_another(output: Output, elsewhere: Set[Platform]) -> bool:
    """Returns whether an engine takes only a platform that another node builds."""
    return isinstance(output.dest, ToEngine) and output.dest.platform in elsewhere


def _without(platforms: Set[Platform], attrs: Mapping[str, str]) -> dict[str, str]:
    """Returns attributes without the annotations of these platforms, which a node refuses that does not build them."""
    kept = {}
    for name, value in attrs.items():
        match = _ANNOTATED.match(name)
        try:
            if match and parse_platform(match[1]) in platforms:
                continue
        except PlatformError:
            pass
        kept[name] = value
    return kept


def _repositories(names: Sequence[str]) -> tuple[str, ...]:
    try:
        return repositories(names)
    except InvalidReference as error:
        raise InvalidBuild(f"{error}") from None


def with_proxies(request: BuildRequest, proxies: Mapping[str, str]) -> BuildRequest:
    """Returns the request with build arguments for these proxies, unless it has them, in any case of letters."""
    given = {name.upper() for name in request.build_args}
    missing = {name: value for name, value in proxies.items() if name not in given}
    return request._replace(build_args={**request.build_args, **missing}) if missing else request


def pushes(outputs: Sequence[Output]) -> bool:
    """Returns whether any output is pushed to a registry."""
    return any(output.push for output in outputs)


def image_names(request: BuildRequest) -> tuple[str, ...]:
    """Returns the names that the image is pushed under: the tags, else those of the outputs. Raises UsageError."""
    listed = [output.attrs.get("name", "").split(",") for output in request.outputs if output.push]
    names: tuple[str, ...] = request.tags or tuple(dict.fromkeys(name for of in listed for name in of if name))
    if not names:
        raise InvalidBuild("tag is needed when pushing to registry")
    return names


def push_once(request: BuildRequest) -> BuildRequest:
    """Returns the request of several nodes with one push, of all names, as the last output.

    One, since an image's attestations name it, and one index is made of the nodes' images. Last, since all exporters
    of a node answer in one map, in which the last one wins. Raises InvalidBuild for pushes that differ in attributes.
    """
    pushed = [output for output in request.outputs if output.push]
    if not pushed:
        return request
    if len({tuple(sorted({**output.attrs, "name": ""}.items())) for output in pushed}) > 1:
        raise InvalidBuild(
            "several nodes cannot push images with different attributes in one build",
            hint="use one output with all names, or a build for each",
        )
    attrs = {**pushed[0].attrs, "name": ",".join(map(str, image_names(request)))}
    others = [output for output in request.outputs if not output.push]
    return request._replace(outputs=(*others, pushed[0]._replace(attrs=attrs)))


def insecure_registries(request: BuildRequest) -> tuple[str, ...]:
    """Returns the registry hosts that an output marks as insecure (its attribute `registry.insecure`)."""
    insecure = any(output.push and parse_bool(output.attrs.get("registry.insecure", "")) for output in request.outputs)
    names = image_names(request) if insecure else ()
    return tuple(registry_host(parse_reference(name).domain) for name in names)
