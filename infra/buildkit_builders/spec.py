"""A builder as it was asked for, checked: config in, frozen specs out, all problems at once. No Pulumi, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from buildclient.contract.output import BuilderOutput, Cluster, NodeOutput, Workload, config_map_name
from buildclient.contract.platform import Platform, PlatformError, parse_platforms
from buildkit_builders.options.check import Options, build_options, read_given, read_values
from buildkit_builders.options.problems import Problems, Refused, nearest
from buildkit_builders.options.table import NAMES
from buildkit_builders.options.values import boolean, dns_label, dns_subdomain

__all__ = ["BUILDER_KEYS", "NODE_KEYS", "BuilderSpec", "NodeSpec", "check_builder"]

BUILDER_KEYS = (
    "name",
    "namespace",
    "nodes",
    "driver-opts",
    "loadbalance",
    "default-load",
    "context",
    "kubeconfig",
    "createNamespace",
    "clientServiceAccount",
)
NODE_KEYS = ("name", "platforms", "driver-opts", "namespace", "loadbalance", "default-load")
_OPTION_KEYS = ("namespace", "loadbalance", "default-load")
_COMMON_PLATFORMS = tuple(
    f"linux/{one}" for one in ("amd64", "arm64", "386", "arm/v7", "arm/v6", "riscv64", "s390x", "ppc64le", "loong64")
)
CONTAINER = "buildkitd"
_LONGEST_NAME = 63
"""A pod's label holds the name."""
_NAME = re.compile(r"[a-z](?:[a-z0-9._-]*[a-z0-9])?\Z")
_NAME_ALLOWED = 'give a name of lower-case letters, digits, "-", "_" and ".", beginning with a letter'


@dataclass(frozen=True)
class NodeSpec:
    """One builder node: a workload of equal BuildKit pods."""

    name: str
    platforms: tuple[Platform, ...]
    options: Options
    """With the namespace filled in."""

    @property
    def workload(self) -> str:
        """The workload's name in Kubernetes: what `docker buildx create --node` would make of the node's name."""
        return self.name.replace("_", "-")

    @property
    def namespace(self) -> str:
        """The namespace of all that the node owns."""
        return self.options.namespace

    @property
    def selector(self) -> dict[str, str]:
        """The label by which the pods are found; the workload's name alone, since selectors can't change."""
        return {"app": self.workload}

    def output(self) -> NodeOutput:
        """What a build client is told of the node."""
        return NodeOutput(
            name=self.name,
            namespace=self.namespace,
            platforms=self.platforms,
            loadbalance=self.options.loadbalance,
            workload=Workload("Deployment", self.workload),
            selector=self.selector,
            container=CONTAINER,
            replicas=self.options.replicas,
            timeout_seconds=self.options.timeout,
            rootless=self.options.rootless,
        )


@dataclass(frozen=True)
class BuilderSpec:
    """A builder and its nodes, checked; every namespace filled in."""

    name: str
    namespace: str
    nodes: tuple[NodeSpec, ...]
    loadbalance: str
    default_load: bool
    create_namespace: bool
    client_service_account: str
    """The ServiceAccount that a CI job builds with, `name` or `namespace/name`; empty for none."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces, the builder's first."""
        return tuple(dict.fromkeys([self.namespace, *(node.namespace for node in self.nodes)]))

    def output(self, cluster: Cluster) -> BuilderOutput:
        """What a build client is told of the builder."""
        return BuilderOutput(
            name=self.name,
            namespace=self.namespace,
            nodes=tuple(node.output() for node in self.nodes),
            loadbalance=self.loadbalance,
            default_load=self.default_load,
            cluster=cluster,
        )


def check_builder(raw: Mapping[str, Any], default_namespace: str, problems: Problems, where: str = "") -> BuilderSpec:
    """Check a builder's config, in the spelling of `BuilderArgs`.

    `default_namespace` is that of the Kubernetes context. What is wrong is added to `problems`, its place preceded
    by `where` (such as `builder:`); the result is good only if nothing was.
    """
    for key in raw:
        if key not in BUILDER_KEYS:
            problems.unknown(where.rstrip(":") or "builder", str(key), BUILDER_KEYS, "key", _misplaced(str(key)))
    name = _name(raw.get("name"), f"{where}name", problems)
    base = _options(raw, where, problems)
    nodes = _nodes(raw.get("nodes"), name or "builder", base, where, problems)
    own = base.get("namespace") or next((n.namespace for n in nodes if n.namespace), "") or default_namespace
    nodes = tuple(n if n.namespace else replace(n, options=replace(n.options, namespace=own)) for n in nodes)
    spec = BuilderSpec(
        name=name,
        namespace=own,
        nodes=nodes,
        loadbalance=base.get("loadbalance", "sticky"),
        default_load=base.get("default-load", False) or any(node.options.default_load for node in nodes),
        create_namespace=_flag(raw.get("createNamespace"), f"{where}createNamespace", problems),
        client_service_account=_service_account(raw.get("clientServiceAccount"), where, problems),
    )
    _check_names(spec, where, problems)
    for key in ("context", "kubeconfig"):
        if raw.get(key) is not None and not isinstance(raw[key], str):
            problems.add(f"{where}{key}", raw[key], "give a text")
    return spec


def _misplaced(key: str) -> str:
    if key in NAMES:
        return f"{key} is an option: put it under driver-opts"
    namespace, colon, name = key.partition(":")
    return f'did you mean "builder:{name}"?' if colon and name in BUILDER_KEYS and namespace else ""


def _options(raw: Mapping[str, Any], where: str, problems: Problems) -> dict[str, Any]:
    """The option values given at one level: those with keys of their own, and the driver-opts."""
    opts = f"{where}driver-opts"
    values = read_values(read_given(raw.get("driver-opts"), opts, problems), opts, problems)
    for key in _OPTION_KEYS:
        if raw.get(key) in (None, ""):
            continue
        direct: dict[str, Any] = {}
        single = Problems()
        direct = read_values({key: raw[key]}, "", single)
        problems.found += [problem._replace(option=f"{where}{key}") for problem in single.found]
        if key in direct and key in values and direct[key] != values[key]:
            problems.add(f"{where}{key}", raw[key], f"driver-opts say {values[key]!r}; say it once")
        values.update(direct)
    return values


def _nodes(raw: Any, builder: str, base: Mapping[str, Any], where: str, problems: Problems) -> tuple[NodeSpec, ...]:
    if raw in (None, "", []):
        raw = [{}]
    if isinstance(raw, Mapping) or not isinstance(raw, Sequence) or isinstance(raw, str):
        problems.add(f"{where}nodes", raw, "give a list of nodes, each with name, platforms and driver-opts")
        return ()
    return tuple(_node(node, n, builder, base, f"{where}nodes[{n}]", problems) for n, node in enumerate(raw))


def _node(raw: Any, index: int, builder: str, base: Mapping[str, Any], where: str, problems: Problems) -> NodeSpec:
    if not isinstance(raw, Mapping):
        problems.add(where, raw, "give a node as a mapping with name, platforms and driver-opts")
        raw = {}
    for key in raw:
        if key not in NODE_KEYS:
            problems.unknown(where, str(key), NODE_KEYS, "key", _misplaced(str(key)))
    name = f"{builder}{index}"
    if raw.get("name") is not None:
        name = _name(raw["name"], f"{where}.name", problems) or name
    elif len(name) > _LONGEST_NAME:
        problems.add(f"{where}.name", name, f"the name by default is longer than {_LONGEST_NAME}; give one")
    values = {**base, **_options(raw, f"{where}.", problems)}
    return NodeSpec(
        name=name,
        platforms=_platforms(raw.get("platforms"), f"{where}.platforms", problems),
        options=build_options(values, f"{where}.driver-opts", problems),
    )


def _platforms(raw: Any, where: str, problems: Problems) -> tuple[Platform, ...]:
    if raw is None:
        return ()
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        problems.add(where, raw, "give a list of platforms, such as [linux/amd64, linux/arm64]")
        return ()
    found: list[Platform] = []
    for text in texts:
        try:
            read = parse_platforms([text])
        except PlatformError as error:
            problems.add(where, text, "it " + str(error).removeprefix(f'platform "{text}" '))
            continue
        for platform in read:
            if not platform.known:
                near = nearest(str(platform), _COMMON_PLATFORMS)
                hint = f'did you mean "{near}"?' if near else "such as linux/arm64"
                problems.add(where, text, "no such operating system or architecture is known", hint)
        found += read
    return tuple(dict.fromkeys(found))


def _name(raw: Any, where: str, problems: Problems) -> str:
    text = str(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    if len(text) <= _LONGEST_NAME and _NAME.match(text) and _fits(text):
        return text
    lower = text.lower().replace(" ", "-").strip("-_.")
    better = lower != text and _NAME.match(lower) and _fits(lower) and len(lower) <= _LONGEST_NAME
    problems.add(where, raw, f"{_NAME_ALLOWED}, at most {_LONGEST_NAME}", f'did you mean "{lower}"?' if better else "")
    return ""


def _fits(name: str) -> bool:
    """Whether the name, `_` made `-`, is one for a Kubernetes object."""
    try:
        return bool(dns_subdomain(name.replace("_", "-")))
    except Refused:
        return False


def _flag(raw: Any, where: str, problems: Problems) -> bool:
    if raw in (None, ""):
        return False
    try:
        return boolean(raw)
    except Refused as error:
        problems.refused(where, raw, error)
        return False


def _service_account(raw: Any, where: str, problems: Problems) -> str:
    if raw in (None, ""):
        return ""
    allowed = "give the name of a ServiceAccount to make, or namespace/name of one that is there"
    namespace, slash, name = raw.rpartition("/") if isinstance(raw, str) else ("", "", "")
    try:
        if slash:
            dns_label(namespace)
        dns_subdomain(name)
    except Refused:
        problems.add(f"{where}clientServiceAccount", raw, allowed)
        return ""
    return str(raw)


def _check_names(spec: BuilderSpec, where: str, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for index, node in enumerate(spec.nodes):
        first = seen.setdefault(node.workload, index)
        if first != index:
            problems.add(f"{where}nodes[{index}].name", node.name, f"nodes[{first}] has that name already")
    if len(config_map_name(spec.name)) > 253:
        problems.add(f"{where}name", spec.name, "the name is too long")
