"""The arguments of the components, with the names of docker buildx's driver options.

Plain values only, except `kubeconfig`: Kubernetes names and the stack's resources depend on them, so a preview must
know them. Numbers, booleans, lists and mappings may also be given as buildx's texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Union

if TYPE_CHECKING:
    import pulumi

__all__ = ["BuilderArgs", "CertificateArgs", "DriverOpts", "LateText", "NodeArgs", "RegistryArgs", "TolerationArgs"]

LateText = Union[str, "pulumi.Output[str]"]
"""A text that may be known only while Pulumi runs, since no name follows from it."""


class TolerationArgs(TypedDict, total=False):
    """One toleration, as in a pod's manifest; upper and lower case of `operator` and `effect` do not matter."""

    key: str
    operator: str
    value: str
    effect: str
    tolerationSeconds: int | str


class CertificateArgs(TypedDict, total=False):
    """Where a certificate is: a Secret or a ConfigMap in the node's namespace, and its key, `ca.crt` by default."""

    secret: str
    configmap: str
    key: str


class RegistryArgs(TypedDict, total=False):
    """What BuildKit does with a registry."""

    mirrors: Sequence[str]
    http: bool | str
    insecure: bool | str
    ca: Sequence[CertificateArgs | str] | CertificateArgs | str
    """PEM certificates, paths in the container, or where the certificates are."""
    keypair: Sequence[str] | str
    """Secrets of type kubernetes.io/tls with a client certificate."""


_Pairs = Mapping[str, str | int | bool] | Sequence[str] | str

_Part = Mapping[str, Any]
"""Part of a pod's manifest, with Kubernetes' field names."""

DriverOpts = TypedDict(
    "DriverOpts",
    {
        # what each means, its default and an example: docs/options.md, made from buildkit_builders.options.table
        "image": str,
        "namespace": str,
        "default-load": bool | str,
        "replicas": int | str,
        "requests.cpu": str | int | float,
        "requests.memory": str | int,
        "requests.ephemeral-storage": str | int,
        "limits.cpu": str | int | float,
        "limits.memory": str | int,
        "limits.ephemeral-storage": str | int,
        "buildkit-root-volume-memory": str | int,
        "persistent-volume-claim.requests.storage": str | int,
        "persistent-volume-claim.storage-class": str,
        "persistent-volume-claim.access-mode": str,
        "persistent-volume-claim.when-scaled": str,
        "persistent-volume-claim.when-deleted": str,
        "nodeselector": _Pairs,
        "annotations": _Pairs,
        "labels": _Pairs,
        "tolerations": Sequence[TolerationArgs | str] | str,
        "serviceaccount": str,
        "schedulername": str,
        "timeout": str,
        "rootless": bool | str,
        "loadbalance": str,
        "qemu.install": bool | str,
        "qemu.image": str,
        # a mapping of variables; `env.NAME` is taken too
        "env": Mapping[str, str | int | bool],
        "imagepullsecrets": Sequence[str] | str,
        "affinity": _Part | str,
        "topologyspreadconstraints": Sequence[_Part] | str,
        "priorityclass": str,
        "runtimeclass": str,
        "hostnetwork": bool | str,
        "hostusers": bool | str,
        "hostaliases": Mapping[str, str] | Sequence[_Part | str] | str,
        "dnspolicy": str,
        "dnsconfig": _Part | str,
        "volumes": Sequence[_Part] | str,
        "volumemounts": Sequence[_Part] | str,
        "sidecars": Sequence[_Part] | str,
        "initcontainers": Sequence[_Part] | str,
        "securitycontext": _Part | str,
        "seccomp": str,
        "apparmor": str,
        "serviceaccount.token": bool | str,
        "termination-grace-period": str,
        "default-requests": bool | str,
        "pod-patch": _Part | str,
        "buildkitd.flags": Sequence[str] | str,
        "buildkitd.config": _Part | str,
        # a mapping by host; `buildkitd.registry.HOST` is taken too
        "buildkitd.registry": Mapping[str, RegistryArgs],
        "buildkitd.gc.enabled": bool | str,
        "buildkitd.gc.reserved-space": str | int,
        "buildkitd.gc.max-used-space": str | int,
        "buildkitd.gc.min-free-space": str | int,
        "buildkitd.gc.policies": Sequence[_Part] | str,
        "buildkitd.max-parallelism": int | str,
        "buildkitd.dns": _Part | str,
        "buildkitd.entitlements": Sequence[str] | str,
        "buildkitd.log-format": str,
        "buildkitd.log-level": str,
        "buildkitd.history.max-age": str,
        "buildkitd.history.max-entries": int | str,
        "buildkitd.otel-socket-path": str,
    },
    total=False,
)
"""The driver options of a node, with docker buildx's names: `{"replicas": 2, "requests.cpu": "500m"}`."""

NodeArgs = TypedDict(
    "NodeArgs",
    {
        # The node's name, and its workload's (`_` made `-`). Default: the builder's name and the node's number, kube0.
        "name": str,
        # What the node builds natively, such as ["linux/amd64"]. Default: whatever its BuildKit reports.
        "platforms": Sequence[str] | str,
        # The node's options; they override the builder's, one by one. A mapping, or the text of `--driver-opt`.
        "driver-opts": DriverOpts | Sequence[str] | str,
        # The same as those options, for nodes that differ from the builder in nothing else.
        "namespace": str,
        "loadbalance": str,
        "default-load": bool | str,
    },
    total=False,
)
"""One builder node: `{"name": "builder-arm64", "platforms": ["linux/arm64"], "driver-opts": {"replicas": 2}}`."""

BuilderArgs = TypedDict(
    "BuilderArgs",
    {
        # The builder's name. Default: the component's name.
        "name": str,
        # The namespace of the builder and of nodes that name none. Default: that of the Kubernetes context.
        "namespace": str,
        # The nodes. Default: a single one.
        "nodes": Sequence[NodeArgs],
        # Options of every node.
        "driver-opts": DriverOpts | Sequence[str] | str,
        # How a build's pod is chosen, `sticky` (default) or `random`.
        "loadbalance": str,
        # Whether builds without an output load their image. Default: false.
        "default-load": bool | str,
        # The kubeconfig's context. Default: the current one. The output names it only if it is set.
        "context": str,
        # A kubeconfig's path, or its contents (kept as a secret), or an Output of either. Default: where kubectl looks.
        "kubeconfig": LateText,
        # Whether to make the namespaces; those we did not make are never deleted. Default: false.
        "createNamespace": bool | str,
        # A ServiceAccount that may build and nothing else: a name, made in the builder's namespace, or
        # namespace/name of one that is there. Default: none.
        "clientServiceAccount": str,
    },
    total=False,
)
"""A builder: what stack config `builder:…` holds."""
