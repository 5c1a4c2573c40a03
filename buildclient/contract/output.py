"""The builder output: what a stack tells a build client about its builder.

One JSON object, versioned, with no secret and no pod name in it (pods move; selectors stay). The Pulumi side
exports it as stack output `builder` and writes it into ConfigMap `<name>-builder`, key `builder.json`; the
client reads it from either. A reader accepts every older version and `1.0` for `1` (Pulumi's numbers are
doubles); fields it does not know are ignored, so that a newer writer may add some.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, NotRequired, TypedDict

from buildclient.contract.cluster import Cluster
from buildclient.contract.fields import FieldReader, shown
from buildclient.contract.jsontext import read_json
from buildclient.contract.names import is_builder_name
from buildclient.contract.platform import Platform

__all__ = [
    "CONFIG_MAP_KEY",
    "CONFIG_MAP_LABEL",
    "LEAST_LOADED",
    "LOADBALANCE",
    "LONGEST_TIMEOUT",
    "VERSION",
    "BuilderOutput",
    "BuilderOutputDict",
    "Cluster",
    "ClusterDict",
    "NodeOutput",
    "NodeOutputDict",
    "OutputError",
    "Workload",
    "WorkloadDict",
    "config_map_name",
]

VERSION = 1
CONFIG_MAP_KEY = "builder.json"
CONFIG_MAP_LABEL = ("buildkit-builders/output", "builder")
LEAST_LOADED = "least-loaded"
LOADBALANCE = ("sticky", "random", LEAST_LOADED)
WORKLOAD_KINDS = ("Deployment", "StatefulSet")
LONGEST_TIMEOUT = 365 * 86400
"""Seconds that a node's pods may be given to become ready."""
_MOST_REPLICAS = 2**31 - 1
"""What Kubernetes' `replicas` holds."""
_NAME_RULE = "a name of letters, digits, '-', '_' and '.', a letter or digit at both ends"


class OutputError(ValueError):
    """A builder output that cannot be read; the message lists every field that is wrong."""


class WorkloadDict(TypedDict):
    """A node's `workload` in the output."""

    kind: str
    name: str


class ClusterDict(TypedDict):
    """The output's `kubernetes` (`buildclient.contract.cluster.Cluster`); any text may be empty."""

    context: str
    server: str
    uid: NotRequired[str]
    certificateAuthority: NotRequired[str]


class NodeOutputDict(TypedDict):
    """One of the output's `nodes`: with a workload and how to find its pods, or with an address."""

    name: str
    namespace: str
    loadbalance: str
    platforms: list[str]
    address: NotRequired[str]
    tls: NotRequired[dict[str, str]]
    workload: NotRequired[WorkloadDict]
    selector: NotRequired[dict[str, str]]
    container: NotRequired[str]
    replicas: NotRequired[int]
    minReplicas: NotRequired[int]
    maxReplicas: NotRequired[int]
    clusterStarts: NotRequired[bool]
    maxParallelBuilds: NotRequired[int]
    cacheFallback: NotRequired[str]
    timeoutSeconds: float
    rootless: bool
    endpoint: NotRequired[str]


class BuilderOutputDict(TypedDict):
    """The output as a JSON object: the value of stack output `builder`."""

    version: int
    name: str
    namespace: str
    loadbalance: str
    defaultLoad: bool
    kubernetes: ClusterDict
    nodes: list[NodeOutputDict]


class Workload(NamedTuple):
    """The object that owns a node's pods."""

    kind: str
    name: str


class NodeOutput(NamedTuple):
    """One builder node: its pods by selector, or the address of a daemon outside Kubernetes."""

    name: str
    namespace: str = ""
    platforms: tuple[Platform, ...] = ()
    loadbalance: str = "sticky"
    workload: Workload | None = None
    selector: Mapping[str, str] = {}
    container: str = "buildkitd"
    replicas: int = 1
    """The pods of the node, as the stack sets them; of a node that is scaled, how many a start makes."""
    min_replicas: int | None = None
    """The fewest pods that an autoscaler, or a way to zero, leaves; None (absent) for `replicas`, which stay."""
    max_replicas: int | None = None
    """The most pods that an autoscaler starts; None (absent) for `replicas`."""
    cluster_starts: bool = False
    """Whether the cluster starts a node without pods, and a client waits for it; absent, a client starts it."""
    max_parallel_builds: int = 0
    """How many builds clients let a pod run at once, before they go to another or wait; 0 (absent) for any number."""
    cache_fallback: str = ""
    """A cache that every build reads besides its own, as `--cache-from` takes it; empty (absent) for none."""
    timeout_seconds: float = 120.0
    """How long to wait for a ready pod, in seconds."""
    rootless: bool = False
    address: str = ""
    """`tcp://…` or `unix://…`, instead of workload and selector."""
    tls: Mapping[str, str] = {}
    """File names of `ca`, `cert`, `key` and the `servername`, for a `tcp://` address."""
    endpoint: str = ""
    """`tcp://…` beside workload and selector, for clients with a certificate; empty, or absent in the output, where
    pods are reached by exec alone."""

    @property
    def has_admission(self) -> bool:
        """Whether a build that has begun on a pod may have to go to another, as others were there first."""
        return bool(self.workload) and (self.max_parallel_builds > 0 or self.loadbalance == LEAST_LOADED)

    @property
    def may_rest(self) -> bool:
        """Whether the node may have no pods although nothing is wrong."""
        return self.min_replicas == 0

    def to_json(self) -> NodeOutputDict:
        """The node's object in the output."""
        value: NodeOutputDict = {
            "name": self.name,
            "namespace": self.namespace,
            "loadbalance": self.loadbalance,
            "platforms": [str(platform) for platform in self.platforms],
            "timeoutSeconds": _number(self.timeout_seconds),
            "rootless": self.rootless,
        }
        if self.address:
            value["address"] = self.address
            if self.tls:
                value["tls"] = dict(self.tls)
        if self.workload:
            value["workload"] = {"kind": self.workload.kind, "name": self.workload.name}
            value["selector"] = dict(self.selector)
            value["container"] = self.container
            value["replicas"] = self.replicas
            if self.endpoint:
                value["endpoint"] = self.endpoint
            if self.min_replicas is not None:
                value["minReplicas"] = self.min_replicas
            if self.max_replicas is not None:
                value["maxReplicas"] = self.max_replicas
            if self.cluster_starts:
                value["clusterStarts"] = True
            if self.max_parallel_builds:
                value["maxParallelBuilds"] = self.max_parallel_builds
            if self.cache_fallback:
                value["cacheFallback"] = self.cache_fallback
        return value


class BuilderOutput(NamedTuple):
    """A builder and its nodes."""

    name: str
    namespace: str
    nodes: tuple[NodeOutput, ...]
    loadbalance: str = "sticky"
    default_load: bool = False
    cluster: Cluster = Cluster()

    def to_json(self) -> BuilderOutputDict:
        """The output as a JSON object of the newest version."""
        return {
            "version": VERSION,
            "name": self.name,
            "namespace": self.namespace,
            "loadbalance": self.loadbalance,
            "defaultLoad": self.default_load,
            "kubernetes": _cluster_json(self.cluster),
            "nodes": [node.to_json() for node in self.nodes],
        }

    def dumps(self) -> str:
        """The output as JSON text that is the same for the same builder (a ConfigMap's value)."""
        return json.dumps(self.to_json(), sort_keys=True, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str | bytes) -> BuilderOutput:
        """Read JSON text. Raises OutputError for text that is no JSON and as `from_json` does."""
        try:
            value = read_json(text)
        except ValueError as error:
            raise OutputError(f"the builder output is not JSON: {error}") from None
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Any) -> BuilderOutput:
        """Read a JSON object of this version or an older one.

        Raises OutputError, with every field at fault, for a newer version, a missing or mistyped field, a name that
        is none for Kubernetes, a number out of bounds, an unknown loadbalance or workload kind, an unreadable
        platform, no nodes, or two nodes of one name.
        """
        reader = FieldReader()
        top = reader.mapping(value, "builder output")
        if reader.problems:
            raise OutputError(reader.told())
        _check_version(top.get("version"))
        cluster = reader.mapping(top.get("kubernetes") or {}, "kubernetes")
        loadbalance = reader.choice(top, "loadbalance", LOADBALANCE, "", default="sticky")
        namespace = reader.dns_label(top, "namespace", "", default="")
        raw_nodes = top.get("nodes")
        if not isinstance(raw_nodes, list) or not raw_nodes:
            reader.problems.append("nodes must be a list with at least one node")
            raw_nodes = []
        nodes = tuple(
            _node(reader, reader.mapping(node, f"nodes[{n}]"), f"nodes[{n}].", namespace, loadbalance)
            for n, node in enumerate(raw_nodes)
        )
        counts = Counter(node.name for node in nodes if node.name)
        for name in sorted(name for name, count in counts.items() if count > 1):
            reader.problems.append(f'nodes: two nodes are named "{name}"')
        output = cls(
            name=reader.name(top, "name", "", is_builder_name, _NAME_RULE),
            namespace=namespace,
            nodes=nodes,
            loadbalance=loadbalance,
            default_load=reader.boolean(top, "defaultLoad", ""),
            cluster=Cluster(
                context=reader.text(cluster, "context", "kubernetes.", default=""),
                server=reader.server(cluster, "server", "kubernetes."),
                uid=reader.text(cluster, "uid", "kubernetes.", default=""),
                ca=reader.text(cluster, "certificateAuthority", "kubernetes.", default=""),
            ),
        )
        if reader.problems:
            raise OutputError(f"builder output: {reader.told()}")
        return output


def _cluster_json(cluster: Cluster) -> ClusterDict:
    value: ClusterDict = {"context": cluster.context, "server": cluster.server}
    if cluster.uid:
        value["uid"] = cluster.uid
    if cluster.ca:
        value["certificateAuthority"] = cluster.ca
    return value


def config_map_name(builder: str) -> str:
    """The name of the ConfigMap in which builder `builder` keeps its output."""
    return f"{builder.replace('_', '-')}-builder"


def _node(reader: FieldReader, raw: Mapping[str, Any], where: str, namespace: str, loadbalance: str) -> NodeOutput:
    address = reader.address(raw, "address", where)
    workload = None
    if not address:
        given = reader.mapping(raw.get("workload"), where + "workload")
        workload = Workload(
            reader.choice(given, "kind", WORKLOAD_KINDS, where + "workload."),
            reader.dns_subdomain(given, "name", where + "workload."),
        )
        if not raw.get("selector"):
            reader.problems.append(f"{where}selector must name at least one label")
    return NodeOutput(
        name=reader.name(raw, "name", where, is_builder_name, _NAME_RULE),
        namespace=reader.dns_label(raw, "namespace", where, default=namespace) or namespace,
        platforms=reader.platforms(raw, "platforms", where),
        loadbalance=reader.choice(raw, "loadbalance", LOADBALANCE, where, default=loadbalance),
        workload=workload,
        selector=reader.labels(raw, "selector", where),
        container=reader.dns_label(raw, "container", where, default="buildkitd"),
        replicas=reader.integer(raw, "replicas", where, default=1, largest=_MOST_REPLICAS),
        min_replicas=_count(reader, raw, "minReplicas", where),
        max_replicas=_count(reader, raw, "maxReplicas", where),
        cluster_starts=reader.boolean(raw, "clusterStarts", where),
        max_parallel_builds=reader.integer(raw, "maxParallelBuilds", where, default=0, largest=_MOST_REPLICAS),
        cache_fallback=reader.text(raw, "cacheFallback", where, default=""),
        timeout_seconds=reader.number(raw, "timeoutSeconds", where, default=120, largest=LONGEST_TIMEOUT),
        rootless=reader.boolean(raw, "rootless", where),
        address=address,
        tls=reader.texts(raw, "tls", where),
        endpoint=reader.address(raw, "endpoint", where, "tcp"),
    )


def _count(reader: FieldReader, raw: Mapping[str, Any], key: str, where: str) -> int | None:
    return reader.integer(raw, key, where, default=0, largest=_MOST_REPLICAS) if raw.get(key) is not None else None


def _check_version(version: Any) -> None:
    """Raises OutputError for a version that is none, or newer than this reader."""
    whole = isinstance(version, int | float) and not isinstance(version, bool) and version % 1 == 0
    if not whole or version < 1:
        raise OutputError(f"builder output: version must be a whole number from 1 to {VERSION}, not {shown(version)}")
    if version > VERSION:
        raise OutputError(
            f"builder output: version {shown(int(version))} is newer than this reader ({VERSION}); update buildclient"
        )


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value
