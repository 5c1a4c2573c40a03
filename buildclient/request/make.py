"""Parses texts from flags, files and programs into a BuildRequest, each text once.

Errors come in docker buildx's order, with its messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from buildclient.base.errors import InvalidBuild, UsageError
from buildclient.base.gotext import go_quoted, is_bool, parse_bool
from buildclient.contract.platform import Platform
from buildclient.request.annotations import parse_annotations
from buildclient.request.caches import check_caches
from buildclient.request.checks import check_network, check_no_cache, check_outputs, check_syntax, check_tagged
from buildclient.request.flagtext import (
    flagged,
    key_values,
    parse_attests,
    parse_cache,
    parse_context_names,
    parse_list,
    parse_tags,
)
from buildclient.request.limits import parse_entitlements, parse_hosts, parse_size, parse_ulimits
from buildclient.request.outputs import build_outputs, parse_output
from buildclient.request.platforms import read_platforms
from buildclient.request.policy import PolicyConfig, parse_policies
from buildclient.request.resources import parse_resources
from buildclient.request.secrets import Secret, SecretLike, parse_secrets, secret_of
from buildclient.request.ssh import SshForward, check_ssh, is_git_ssh, parse_ssh
from buildclient.request.values import DEFAULT_RETRIES, BuildRequest, Output

__all__ = ["Pairs", "Texts", "build_request"]

Texts = Iterable[str]
Pairs = Mapping[str, str] | Iterable[str]
"""A mapping, or texts `KEY=VALUE`."""
_T = TypeVar("_T")


def build_request(
    context: str = ".",
    *,
    dockerfile: str = "",
    target: str = "",
    tags: Texts = (),
    platforms: Iterable[str | Platform] = (),
    outputs: Iterable[str | Output] = (),
    push: bool = False,
    load: bool = False,
    build_args: Pairs = (),
    labels: Pairs = (),
    annotations: Texts = (),
    build_contexts: Pairs = (),
    no_cache: bool = False,
    no_cache_filter: Texts = (),
    pull: bool = False,
    attests: Texts = (),
    provenance: str = "",
    sbom: str = "",
    allow: Texts = (),
    add_hosts: Texts = (),
    network: str = "",
    shm_size: str | None = None,
    ulimits: Texts = (),
    resources: Texts = (),
    cgroup_parent: str = "",
    cache_from: Texts = (),
    cache_to: Texts = (),
    policies: Texts = (),
    secrets: Texts | Mapping[str, SecretLike] = (),
    ssh: Iterable[str | SshForward] = (),
    routing_key: str = "",
    metadata_provenance: str = "",
    retries: int = DEFAULT_RETRIES,
    timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
    machine: str = "",
) -> BuildRequest:
    """Returns a checked request; each argument takes what the docker buildx flag of its name takes.

        build_request("app", tags=["registry.example/app:1"], platforms=["linux/amd64", "linux/arm64"], push=True)

    `environ` supplies the variables that docker buildx reads (SOURCE_DATE_EPOCH, DOCKER_DEFAULT_PLATFORM,
    BUILDX_NO_DEFAULT_ATTESTATIONS, …) and the values of build arguments given without one; by default none are read.
    `secrets` may also be a mapping: id -> bytes, a path object, `SecretEnv`, or a function that returns bytes, which is
    called in a thread when a daemon asks. `shm_size` is a text such as `64m`. `machine` is the platform that `local`
    stands for, such as `linux/amd64`. `retries` is how often each node's part is taken up again after its daemon was
    lost, `timeout` the seconds for the whole build (0: no limit).
    Raises UsageError, or its subclass InvalidBuild, for everything that can be checked without a builder.
    """
    variables = environ or {}
    texts = _texts(
        tags=tags,
        annotations=annotations,
        no_cache_filter=no_cache_filter,
        attests=attests,
        allow=allow,
        add_hosts=add_hosts,
        ulimits=ulimits,
        resources=resources,
        cache_from=cache_from,
        cache_to=cache_to,
        policies=policies,
    )
    default = variables.get("DOCKER_DEFAULT_PLATFORM", "")
    wanted = [*_several("platforms", platforms, Platform)] or ([default] if default else [])
    # What docker buildx parses with the command line itself.
    hosts = _list("--add-host", texts["add_hosts"])
    size = parse_size(shm_size, "--shm-size") if shm_size is not None else 0
    ulimit = _read("--ulimit", parse_ulimits, texts["ulimits"])
    results = _several("outputs", outputs, Output)
    request = BuildRequest(
        context=context,
        dockerfile=dockerfile,
        target=target,
        no_cache=no_cache,
        no_cache_filter=texts["no_cache_filter"],
        pull=pull,
        network=network,
        cgroup_parent=cgroup_parent,
        routing_key=routing_key,
        source_date_epoch=variables.get("SOURCE_DATE_EPOCH", ""),
        metadata_provenance=metadata_provenance,
        retries=retries,
        timeout=timeout,
        shm_size=size,
        ulimits=ulimit,
        build_args=_pairs("build_args", build_args, "--build-arg", variables),
        labels=_pairs("labels", labels, "--label"),
        policies=_policies(texts["policies"], variables),
        attests=_attests(texts["attests"], provenance, sbom, variables),
        build_contexts=_read("--build-context", parse_context_names, _items("build_contexts", build_contexts)),
    )
    request = request._replace(
        outputs=_outputs(results, push, load, variables),
        cache_from=_read("--cache-from", parse_cache, texts["cache_from"], variables),
        cache_to=_read("--cache-to", parse_cache, texts["cache_to"], variables),
    )
    with flagged("--no-cache-filter"):
        check_no_cache(request)
    request = request._replace(
        resources=_read("--resource", parse_resources, texts["resources"]),
        platforms=_read("--platform", read_platforms, wanted, machine),
        secrets=_secrets(secrets, variables),
        ssh=_ssh(ssh, context),
    )
    return _checked(request, {**texts, "add_hosts": hosts})


def _checked(request: BuildRequest, texts: Mapping[str, tuple[str, ...]]) -> BuildRequest:
    """Parses the flags that docker buildx parses last, between its checks of the whole request."""
    steps: tuple[tuple[str, Callable[[BuildRequest], BuildRequest | None]], ...] = (
        ("--allow", lambda request: request._replace(allow=parse_entitlements(texts["allow"]))),
        ("--annotation", lambda request: request._replace(annotations=parse_annotations(texts["annotations"]))),
        ("--build-arg", check_syntax),
        ("--tag", lambda request: request._replace(tags=parse_tags(texts["tags"]))),
        ("--tag", check_tagged),
        ("--network", check_network),
        ("--output", check_outputs),
        ("--cache-to", check_caches),
        ("--add-host", lambda request: request._replace(add_hosts=parse_hosts(texts["add_hosts"]))),
    )
    for flag, step in steps:
        with flagged(flag):
            request = step(request) or request
    return request


def _list(flag: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the fields of a flag that pflag itself parses as CSV."""
    found: list[str] = []
    for text in texts:
        try:
            found += parse_list([text])
        except UsageError as error:
            raise UsageError(f"invalid argument {go_quoted(text)} for {go_quoted(flag)} flag: {error}") from None
    return tuple(found)


def _read(flag: str, parse: Callable[..., _T], *arguments: Any) -> _T:
    with flagged(flag):
        return parse(*arguments)


def _texts(**given: Texts) -> dict[str, tuple[str, ...]]:
    return {name: _several(name, texts) for name, texts in given.items()}


def _several(name: str, given: Iterable[Any], *kinds: type) -> tuple[Any, ...]:
    """Returns the values of a field that takes several, each a text or of one of the given types."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(f"{name} of a request must be a list, not {given!r}")
    values = tuple(given)
    for value in values:
        if not isinstance(value, (str, *kinds)):
            raise UsageError(f"{name} of a request must be texts, not {value!r}")
    return values


def _pairs(name: str, given: Pairs, flag: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    return key_values(_items(name, given), flag, environ)


def _items(name: str, given: Pairs) -> tuple[str, ...]:
    """Returns pairs as texts `KEY=VALUE`."""
    if not isinstance(given, Mapping):
        return _several(name, given)
    _several(name, [*given, *given.values()])
    if wrong := next((key for key in given if "=" in key), ""):
        raise UsageError(f"{name} of a request: a key has no equals sign, but {wrong!r} has")
    return tuple(f"{key}={value}" for key, value in given.items())


def _outputs(given: Iterable[str | Output], push: bool, load: bool, environ: Mapping[str, str]) -> tuple[Output, ...]:
    with flagged("--output"):
        read = [one if isinstance(one, Output) else parse_output(one) for one in given if one]
        outputs = build_outputs(read, push=push, load=load)
    return without_artifacts(outputs, environ.get("BUILDX_NO_DEFAULT_OCI_ARTIFACT"))


def _policies(texts: tuple[str, ...], environ: Mapping[str, str]) -> tuple[PolicyConfig, ...]:
    configs = _read("--policy", parse_policies, texts)
    if parse_bool(environ.get("BUILDX_DEFAULT_POLICY", "")) and not any(one.disabled for one in configs):
        raise UsageError(
            "BUILDX_DEFAULT_POLICY: docker buildx's own policy verifies signatures, which cannot be done here",
            hint="build with docker buildx, or without a policy: --policy disabled=true",
        )
    return configs


def _secrets(given: Texts | Mapping[str, SecretLike], environ: Mapping[str, str]) -> Mapping[str, Secret]:
    if isinstance(given, Mapping):
        return {name: secret_of(name, value) for name, value in given.items()}
    return _read("--secret", parse_secrets, _several("secrets", given), environ)


def _ssh(given: Iterable[str | SshForward], context: str) -> tuple[SshForward, ...]:
    with flagged("--ssh"):
        forwards = tuple(
            forward
            for one in _several("ssh", given, SshForward)
            for forward in ((one,) if isinstance(one, SshForward) else parse_ssh([one]))
        )
        check_ssh(forwards)
    return forwards or ((SshForward(),) if is_git_ssh(context) else ())


def _attests(items: Texts, provenance: str, sbom: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    short = "attest" if items else "provenance" if provenance else "sbom" if sbom else "attest"
    attests = _read(f"--{short}", parse_attests, items, provenance, sbom)
    if _switch("BUILDX_NO_DEFAULT_ATTESTATIONS", environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")):
        attests.setdefault("provenance", None)
    return attests


def without_artifacts(outputs: Iterable[Output], value: str | None) -> tuple[Output, ...]:
    """Applies BUILDX_NO_DEFAULT_OCI_ARTIFACT: no attestations as OCI artifacts, which old registries refuse.

    Raises InvalidBuild for a value that is not a boolean.
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
        raise InvalidBuild(f"invalid {name}: strconv.ParseBool: parsing {go_quoted(value)}: invalid syntax")
    return parse_bool(value)
