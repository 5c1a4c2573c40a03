"""Checks a builder's config: config in, frozen specs or all problems out. No Pulumi, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from buildclient.contract.address import Tcp, host_port
from buildclient.contract.output import BuilderOutput, Cluster, NodeOutput, Workload, config_map_name
from buildclient.contract.platform import Platform, PlatformError, parse_platforms
from buildkit_builders.args import BuilderArgsDict, NodeArgsDict
from buildkit_builders.clients import ClientSpec, check_clients
from buildkit_builders.options.check import Options, build_options, check_together, read_given, read_values
from buildkit_builders.options.claim import STORAGE
from buildkit_builders.options.network import ISSUER, SECRET
from buildkit_builders.options.problems import InvalidValue, Problems, nearest
from buildkit_builders.options.table import TABLE
from buildkit_builders.options.values import dns_label, dns_subdomain, flag

__all__ = [
    "BUILDER_KEYS",
    "CONTAINER",
    "NODE_KEYS",
    "BuilderSpec",
    "ClusterSpec",
    "NodeSpec",
    "check_builder",
    "check_cluster",
    "check_node",
]

BUILDER_KEYS = tuple(BuilderArgsDict.__annotations__)
NODE_KEYS = tuple(NodeArgsDict.__annotations__)
_OPTION_KEYS = tuple(key for key in NODE_KEYS if TABLE.row(key))
"""Options that have a key of their own beside `driver-opts`."""
_COMMON_PLATFORMS = tuple(
    f"linux/{one}" for one in ("amd64", "arm64", "386", "arm/v7", "arm/v6", "riscv64", "s390x", "ppc64le", "loong64")
)
CONTAINER = "buildkitd"
_LONGEST_NAME = 63
"""A pod's label holds the name."""
_LONGEST_SET_NAME = 52
"""A label of a StatefulSet's pods holds its name and a hash (kubernetes/kubernetes#64023)."""
_NAME = re.compile(r"[a-z](?:[a-z0-9._-]*[a-z0-9])?\Z")
_NAME_ALLOWED = 'give a name of lower-case letters, digits, "-", "_" and ".", beginning with a letter'


@dataclass(frozen=True)
class NodeSpec:
    """One builder node: a workload of equal BuildKit pods."""

    name: str
    platforms: tuple[Platform, ...]
    """What it builds natively; empty for whatever its BuildKit reports."""
    options: Options

    @property
    def workload_kind(self) -> str:
        """The kind of the object that keeps the pods: only a StatefulSet gives each pod a volume and a lasting name."""
        return "StatefulSet" if self.options.is_persistent else "Deployment"

    @property
    def keeps_replicas(self) -> bool:
        """Whether the stack sets the number of pods; else an autoscaler does, or who stops and starts the node."""
        return not (self.options.is_autoscaled or self.options.rests)

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

    @property
    def endpoint(self) -> Tcp | None:
        """Where clients with a certificate reach BuildKit over TCP; None without such a port."""
        options = self.options
        if not options.has_endpoint:
            return None
        text = options.endpoint_address or f"{self.workload}.{self.namespace}.svc"
        host, port = host_port(text)
        return Tcp(host, port or options.endpoint_port)

    def output(self) -> NodeOutput:
        """What a build client is told of the node."""
        return NodeOutput(
            name=self.name,
            namespace=self.namespace,
            platforms=self.platforms,
            loadbalance=self.options.loadbalance,
            workload=Workload(self.workload_kind, self.workload),
            selector=self.selector,
            container=CONTAINER,
            **self.options.counts(),
            max_parallel_builds=self.options.max_parallel_builds,
            cache_fallback=self.options.cache_fallback,
            timeout_seconds=self.options.timeout,
            rootless=self.options.rootless,
            endpoint=str(self.endpoint or ""),
        )


class ClusterSpec(NamedTuple):
    """What the config says of the cluster that a builder goes to; `buildkit_builders.cluster` finds it."""

    kubeconfig: str = ""
    """A path or contents; empty for where kubectl looks."""
    context: str = ""
    """Empty for the kubeconfig's current one."""


@dataclass(frozen=True)
class BuilderSpec:
    """A builder and its nodes, checked."""

    name: str
    namespace: str
    nodes: tuple[NodeSpec, ...]
    loadbalance: str
    default_load: bool
    create_namespace: bool
    client_service_account: str
    """The ServiceAccount that a CI job builds with, `name` or `namespace/name`; empty for none."""
    clients: tuple[ClientSpec, ...] = ()
    """Who may build besides."""

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


def check_cluster(raw: Mapping[str, Any], problems: Problems) -> ClusterSpec:
    """Check what a builder's config says of its cluster. A value that is not a string is added to `problems`."""
    for key in ClusterSpec._fields:
        if raw.get(key) is not None and not isinstance(raw[key], str):
            problems.at(key).add(raw[key], "give a string")
    kubeconfig, context = (raw[key] if isinstance(raw.get(key), str) else "" for key in ClusterSpec._fields)
    return ClusterSpec(kubeconfig, context)


def check_builder(raw: Mapping[str, Any], default_namespace: str, problems: Problems) -> BuilderSpec:
    """Check a builder's config, in the spelling of `BuilderArgsDict`, but for its cluster (`check_cluster`).

    `default_namespace` is that of the Kubernetes context. What is wrong is added to `problems`; the result is good
    only if nothing was.
    """
    _check_keys(raw, BUILDER_KEYS, problems)
    name = _name(raw.get("name"), problems.at("name"))
    base = _options(raw, problems)
    drafts = _nodes(raw.get("nodes"), name or "builder", base, problems.at("nodes"))
    first = next((node.values["namespace"] for node in drafts if "namespace" in node.values), default_namespace)
    namespace = base.get("namespace", first)
    nodes = tuple(node.spec(namespace) for node in drafts)
    _check_names(nodes, problems.at("nodes"))
    if len(config_map_name(name)) > 253:
        problems.at("name").add(name, "the name is too long")
    return BuilderSpec(
        name=name,
        namespace=namespace,
        nodes=nodes,
        loadbalance=base.get("loadbalance", "sticky"),
        default_load=base.get("default-load", False) or any(node.options.default_load for node in nodes),
        create_namespace=flag(raw.get("createNamespace"), problems.at("createNamespace")),
        client_service_account=_service_account(raw.get("clientServiceAccount"), problems.at("clientServiceAccount")),
        clients=check_clients(
            raw.get("clients"), {node.name: node.namespace for node in nodes}, problems.at("clients")
        ),
    )


def check_node(name: str, raw: Mapping[str, Any], problems: Problems) -> NodeSpec:
    """Check the config of a node without a builder, in the spelling of `NodeArgsDict`; its namespace is `default`.

    What is wrong is added to `problems`; the result is good only if nothing was.
    """
    return _node({"name": name, **raw}, name, {}, problems).spec("default")


class _Draft(NamedTuple):
    """A node as far as it is known before the builder's namespace is."""

    name: str
    platforms: tuple[Platform, ...]
    values: Mapping[str, Any]
    """The options given, by name."""

    def spec(self, namespace: str) -> NodeSpec:
        return NodeSpec(self.name, self.platforms, build_options({"namespace": namespace, **self.values}))


def _check_keys(raw: Mapping[str, Any], known: tuple[str, ...], problems: Problems) -> None:
    for key in raw:
        if key not in known:
            problems.unknown(str(key), known, "key", _misplaced(str(key)))


def _misplaced(key: str) -> str:
    if TABLE.row(key):
        return f"{key} is an option: put it under driver-opts"
    namespace, colon, name = key.partition(":")
    return f'did you mean "builder:{name}"?' if colon and name in BUILDER_KEYS and namespace else ""


def _options(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The option values given at one level: those with keys of their own, and the driver-opts."""
    within = problems.at("driver-opts")
    values = read_values(read_given(raw.get("driver-opts"), within), within)
    given = {key: raw[key] for key in _OPTION_KEYS if raw.get(key) not in (None, "")}
    for key, value in read_values(given, problems).items():
        if values.setdefault(key, value) != value:
            problems.at(key).add(raw[key], f"driver-opts say {values[key]!r}; say it once")
    return values


def _nodes(raw: Any, builder: str, base: Mapping[str, Any], problems: Problems) -> list[_Draft]:
    if raw in (None, "", []):
        raw = [{}]
    if isinstance(raw, Mapping) or not isinstance(raw, Sequence) or isinstance(raw, str):
        problems.add(raw, "give a list of nodes, each with name, platforms and driver-opts")
        return []
    return [_node(node, f"{builder}{n}", base, problems.at(f"[{n}]")) for n, node in enumerate(raw)]


def _node(raw: Any, default_name: str, base: Mapping[str, Any], problems: Problems) -> _Draft:
    if not isinstance(raw, Mapping):
        problems.add(raw, "give a node as a mapping with name, platforms and driver-opts")
        raw = {}
    _check_keys(raw, NODE_KEYS, problems)
    name = default_name
    if raw.get("name") is not None:
        name = _name(raw["name"], problems.at("name")) or name
    elif len(name) > _LONGEST_NAME:
        problems.at("name").add(name, f"the name by default is longer than {_LONGEST_NAME}; give one")
    values = {**base, **_options(raw, problems)}
    platforms = _platforms(raw.get("platforms"), problems.at("platforms"))
    if not problems.each_alone:
        check_together(values, problems.at("driver-opts"))
    if values.get(STORAGE) and (len(name) > _LONGEST_SET_NAME or "." in name):
        allowed = f'with a persistent volume the name has at most {_LONGEST_SET_NAME} characters and no "."'
        problems.at("name").add(name, allowed)
    elif "." in name and (values.get(SECRET) or values.get(ISSUER)):
        problems.at("name").add(name, 'with an endpoint the name has no ".": the Service has it too')
    return _Draft(name, platforms, values)


def _platforms(raw: Any, problems: Problems) -> tuple[Platform, ...]:
    if raw is None:
        return ()
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        problems.add(raw, "give a list of platforms, such as [linux/amd64, linux/arm64]")
        return ()
    platforms: list[Platform] = []
    for text in texts:
        try:
            read = parse_platforms([text])
        except PlatformError as error:
            problems.add(text, "it " + str(error).removeprefix(f'platform "{text}" '))
            continue
        for platform in read:
            if not platform.known:
                near = nearest(str(platform), _COMMON_PLATFORMS)
                hint = f'did you mean "{near}"?' if near else "such as linux/arm64"
                problems.add(text, "no such operating system or architecture is known", hint)
        platforms += read
    return tuple(dict.fromkeys(platforms))


def _name(raw: Any, problems: Problems) -> str:
    text = str(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else ""
    if len(text) <= _LONGEST_NAME and _NAME.match(text) and _fits(text):
        return text
    lower = text.lower().replace(" ", "-").strip("-_.")
    better = lower != text and _NAME.match(lower) and _fits(lower) and len(lower) <= _LONGEST_NAME
    problems.add(raw, f"{_NAME_ALLOWED}, at most {_LONGEST_NAME}", f'did you mean "{lower}"?' if better else "")
    return ""


def _fits(name: str) -> bool:
    """Return whether the name, with `_` replaced by `-`, is valid for a Kubernetes object."""
    try:
        return bool(dns_subdomain(name.replace("_", "-")))
    except InvalidValue:
        return False


def _service_account(raw: Any, problems: Problems) -> str:
    if raw in (None, ""):
        return ""
    namespace, slash, name = raw.rpartition("/") if isinstance(raw, str) else ("", "", "")
    try:
        if slash:
            dns_label(namespace)
        dns_subdomain(name)
    except InvalidValue:
        problems.add(raw, "give the name of a ServiceAccount to make, or namespace/name of one that is there")
        return ""
    return str(raw)


def _check_names(nodes: Sequence[NodeSpec], problems: Problems) -> None:
    """Refuses two workloads of the same name, even in different namespaces."""
    seen: dict[str, int] = {}
    for index, node in enumerate(nodes):
        first = seen.setdefault(node.workload, index)
        if first != index:
            problems.at(f"[{index}]").at("name").add(node.name, f"nodes[{first}] has that name already")
