"""docker buildx's record of a builder, and what it says as the config of a stack. No I/O.

Reference: store/nodegroup.go and driver/kubernetes/factory.go of docker/buildx 0.38. A record is one file of JSON,
`instances/NAME` in docker buildx's folder.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from buildclient.contract.platform import Platform, PlatformError, parse_platforms

__all__ = ["MAX_RECORD", "Instance", "InstanceNode", "RecordError", "read_instance", "stack_config"]

MAX_RECORD = 8 << 20
"""Bytes of a record at most; it holds certificates too."""
_OWN_FLAG = "--allow-insecure-entitlement=network.host"
"""docker buildx adds it to every builder; so do we."""
_CONFIG_FILE = "buildkitd.toml"


class RecordError(ValueError):
    """A record that cannot be used; the text says why and what to do."""


class InstanceNode(NamedTuple):
    """One node of a builder."""

    workload: str
    """The name of its Deployment or StatefulSet."""
    namespace: str
    """Empty for that of the kubeconfig's context."""
    kubeconfig: str
    """A path; empty for where kubectl looks."""
    platforms: tuple[Platform, ...]
    options: Mapping[str, str]
    """The driver's options as docker buildx keeps them, but for the namespace."""
    flags: tuple[str, ...]
    """Flags of buildkitd, but for the one that docker buildx adds."""
    config: Mapping[str, Any]
    """Its buildkitd.toml."""
    files: tuple[str, ...]
    """Other files that docker buildx puts into the pods, such as certificates of registries."""

    @property
    def is_persistent(self) -> bool:
        """Whether its workload is a StatefulSet."""
        return bool(self.options.get("persistent-volume-claim.requests.storage"))


class Instance(NamedTuple):
    """A builder of docker buildx's Kubernetes driver."""

    name: str
    nodes: tuple[InstanceNode, ...]


def read_instance(text: str, name: str) -> Instance:
    """Reads the record of builder `name`. Raises RecordError."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise RecordError(f"docker buildx's record of builder {name} is not JSON") from None
    if not isinstance(record, dict) or not isinstance(record.get("Nodes"), list):
        raise RecordError(f"docker buildx's record of builder {name} has no nodes")
    if record.get("Driver") != "kubernetes":
        driver = record.get("Driver") or "none"
        raise RecordError(f"builder {name} has driver {driver}; only those of driver kubernetes can be imported")
    nodes = tuple(_node(raw, name) for raw in record["Nodes"])
    if not nodes:
        raise RecordError(f"builder {name} has no nodes")
    if len({node.kubeconfig for node in nodes}) > 1:
        raise RecordError(f"the nodes of builder {name} have several kubeconfigs; a stack's builder is in one cluster")
    return Instance(name, nodes)


def stack_config(instance: Instance) -> dict[str, Any]:
    """The keys `builder:…` of the stack's config that describe the builder."""
    own = instance.nodes[0].namespace
    config: dict[str, Any] = {"builder:name": instance.name}
    if own:
        config["builder:namespace"] = own
    if instance.nodes[0].kubeconfig:
        config["builder:kubeconfig"] = instance.nodes[0].kubeconfig
    config["builder:nodes"] = [_config_of(node, own) for node in instance.nodes]
    return config


def _node(raw: Any, builder: str) -> InstanceNode:
    if not isinstance(raw, dict):
        raise RecordError(f"a node of builder {builder} is no mapping")
    kubeconfig = _kubeconfig(raw.get("Endpoint"))
    # The endpoint names a deployment too, which docker buildx does not look at.
    name = str(raw.get("Name") or "")
    if not name:
        raise RecordError(f"a node of builder {builder} has no name")
    options = _texts(raw.get("DriverOpts"), f"the driver options of node {name}")
    flags = raw.get("Flags") or []
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise RecordError(f"the flags of node {name} are no texts")
    files = raw.get("Files") or {}
    if not isinstance(files, dict):
        raise RecordError(f"the files of node {name} are no mapping")
    return InstanceNode(
        name.replace("_", "-"),
        options.pop("namespace", ""),
        kubeconfig,
        _platforms(raw.get("Platforms"), name),
        options,
        tuple(flag for flag in flags if flag != _OWN_FLAG),
        _toml(files.get(_CONFIG_FILE), name),
        tuple(sorted(str(file) for file in files if file != _CONFIG_FILE)),
    )


def _kubeconfig(endpoint: Any) -> str:
    """The path that an endpoint such as `kubernetes:///kube?deployment=a&kubeconfig=/home/a/config` names."""
    if not isinstance(endpoint, str):
        return ""
    return parse_qs(endpoint.partition("?")[2]).get("kubeconfig", [""])[0]


def _texts(raw: Any, what: str) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise RecordError(f"{what} are no texts")
    return dict(raw)


def _platforms(raw: Any, node: str) -> tuple[Platform, ...]:
    try:
        texts = ["/".join(filter(None, (one["os"], one["architecture"], one.get("variant")))) for one in raw or ()]
        return parse_platforms(texts)
    except (TypeError, KeyError, AttributeError, PlatformError):
        raise RecordError(f"the platforms of node {node} cannot be read") from None


def _toml(raw: Any, node: str) -> dict[str, Any]:
    try:
        return tomllib.loads(base64.b64decode(raw or "", validate=True).decode())
    except (TypeError, ValueError, RecursionError):
        raise RecordError(f"{_CONFIG_FILE} of node {node} cannot be read") from None


def _config_of(node: InstanceNode, own: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(node.options)
    if node.namespace and node.namespace != own:
        options["namespace"] = node.namespace
    if node.flags:
        options["buildkitd.flags"] = list(node.flags)
    if node.config:
        options["buildkitd.config"] = dict(node.config)
    found: dict[str, Any] = {"name": node.workload}
    if node.platforms:
        found["platforms"] = [str(platform) for platform in node.platforms]
    return {**found, "driver-opts": options} if options else found
