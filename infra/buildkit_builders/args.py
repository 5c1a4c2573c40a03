"""The arguments of the components, in two spellings: classes in snake_case, and mappings with docker buildx's names.

    Builder("kube", BuilderArgs(driver_opts=DriverOptsArgs(replicas=2, requests_cpu="500m")))
    Builder("kube", {"driver-opts": {"replicas": 2, "requests.cpu": "500m"}})

Numbers, booleans, lists and mappings may also be given as buildx's texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

from buildkit_builders.argtypes import CertificateArgs, ClientArgs, RegistryArgs, TolerationArgs
from buildkit_builders.driveropts import DriverOptsArgs, DriverOptsArgsDict

if TYPE_CHECKING:
    import pulumi

    DriverOpts = DriverOptsArgs | DriverOptsArgsDict | Sequence[str] | str
    """Driver options, or the text of docker buildx's `--driver-opt`."""

__all__ = [
    "TEXT_KEYS",
    "BuilderArgs",
    "BuilderArgsDict",
    "CertificateArgs",
    "ClientArgs",
    "DriverOptsArgs",
    "DriverOptsArgsDict",
    "NodeArgs",
    "NodeArgsDict",
    "RegistryArgs",
    "TolerationArgs",
    "as_mapping",
    "keys_of",
]

NodeArgsDict = TypedDict(
    "NodeArgsDict",
    {
        "name": str,
        "platforms": "pulumi.Input[Sequence[str] | str]",
        "driver-opts": "DriverOpts",
        "namespace": "pulumi.Input[str]",
        "loadbalance": "pulumi.Input[str]",
        "default-load": "pulumi.Input[bool | str]",
    },
    total=False,
)
"""One builder node: `{"name": "builder-arm64", "platforms": ["linux/arm64"], "driver-opts": {"replicas": 2}}`."""

BuilderArgsDict = TypedDict(
    "BuilderArgsDict",
    {
        "name": str,
        "namespace": "pulumi.Input[str]",
        "nodes": "Sequence[NodeArgs | NodeArgsDict]",
        "driver-opts": "DriverOpts",
        "loadbalance": "pulumi.Input[str]",
        "default-load": "pulumi.Input[bool | str]",
        "context": str,
        "kubeconfig": "pulumi.Input[str]",
        "createNamespace": "bool | str",
        "clientServiceAccount": "pulumi.Input[str]",
        "clients": "Sequence[ClientArgs | pulumi.Input[str]] | str",
    },
    total=False,
)
"""A builder: what stack config `builder:…` holds."""

TEXT_KEYS = ("name", "namespace", "loadbalance", "context", "kubeconfig", "clientServiceAccount")
"""The builder's keys whose values are text alone: `123` is then a name, not a number."""


@dataclass(kw_only=True)
class NodeArgs:
    """One builder node: `NodeArgs(name="builder-arm64", platforms=["linux/arm64"])`."""

    name: str | None = None
    """The node's name, and its workload's (`_` made `-`). Default: the builder's name and the node's number, kube0."""
    platforms: pulumi.Input[Sequence[str] | str] | None = None
    """What the node builds natively, such as ["linux/amd64"]. Default: whatever its BuildKit reports."""
    driver_opts: DriverOpts | None = None
    """The node's options; they override the builder's, one by one."""
    namespace: pulumi.Input[str] | None = None
    """The same as the option. Default: the builder's."""
    loadbalance: pulumi.Input[str] | None = None
    """The same as the option. Default: the builder's."""
    default_load: pulumi.Input[bool | str] | None = None
    """The same as the option. Default: the builder's."""


@dataclass(kw_only=True)
class BuilderArgs:
    """A builder: `BuilderArgs(namespace="buildkit", nodes=[NodeArgs(platforms=["linux/amd64"])])`."""

    name: str | None = None
    """The builder's name. Default: the component's name."""
    namespace: pulumi.Input[str] | None = None
    """The namespace of the builder and of nodes that name none. Default: that of the Kubernetes context."""
    nodes: Sequence[NodeArgs | NodeArgsDict] | None = None
    """The nodes. Default: a single one."""
    driver_opts: DriverOpts | None = None
    """Options of every node."""
    loadbalance: pulumi.Input[str] | None = None
    """How a build's pod is chosen, `sticky` (default) or `random`."""
    default_load: pulumi.Input[bool | str] | None = None
    """Whether builds without an output load their image. Default: false."""
    context: str | None = None
    """The kubeconfig's context. Default: the current one. The output names it only if it is set."""
    kubeconfig: pulumi.Input[str] | None = field(default=None, repr=False)
    """A kubeconfig's path, or its contents (kept as a secret). Default: where kubectl looks."""
    create_namespace: bool | str | None = None
    """Whether to make the namespaces; those we did not make are never deleted. Default: false."""
    client_service_account: pulumi.Input[str] | None = None
    """A ServiceAccount that may build and nothing else: a name, made in the builder's namespace, or namespace/name of
    one that is there. Default: none."""
    clients: Sequence[ClientArgs | pulumi.Input[str]] | str | None = None
    """Who may build besides: subjects as text, or with limits and more rights. Default: none."""


def snake_case(key: str) -> str:
    """The field of a class for a mapping's key: `default_load` for `default-load`, `create_namespace`."""
    return re.sub(r"[A-Z]", lambda upper: "_" + upper[0].lower(), re.sub(r"[.-]", "_", key))


_KEYS: Mapping[type, Mapping[str, str]] = {
    kind: {snake_case(key): key for key in spelled.__annotations__}
    for kind, spelled in (
        (BuilderArgs, BuilderArgsDict),
        (NodeArgs, NodeArgsDict),
        (DriverOptsArgs, DriverOptsArgsDict),
    )
}


def keys_of(kind: type) -> Mapping[str, str]:
    """The keys of the mapping that one of the classes stands for, by field. Raises KeyError for another class."""
    return _KEYS[kind]


def as_mapping(args: Any) -> Any:
    """The mapping that an object of one of the classes stands for, without what is None; anything else as it is."""
    keys = _KEYS.get(type(args))
    if keys is None:
        return args
    given = ((keys[one.name], getattr(args, one.name)) for one in fields(args))
    return {key: value for key, value in given if value is not None}
