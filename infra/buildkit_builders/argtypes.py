"""The types of what options hold, for type checkers: parts of a pod's manifest, pairs, names, registries, clients.

Mappings have Kubernetes' field names. Anything in them may be an Output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import pulumi
    from pulumi_kubernetes.core.v1 import (
        AffinityArgs,
        ContainerArgs,
        HostAliasArgs,
        PodDNSConfigArgs,
        PodSecurityContextArgs,
        TopologySpreadConstraintArgs,
        VolumeArgs,
        VolumeMountArgs,
    )
    from pulumi_kubernetes.core.v1 import TolerationArgs as PodTolerationArgs

    Scalar = str | int | bool
    Part = Mapping[str, Any] | str
    """Part of a pod's manifest, or its JSON."""
    Parts = Sequence[Mapping[str, Any]] | str
    Pairs = Mapping[str, pulumi.Input[Scalar]] | Sequence[pulumi.Input[str]] | str
    Texts = Sequence[pulumi.Input[str]] | str

__all__ = ["CertificateArgs", "ClientArgs", "RegistryArgs", "TolerationArgs"]


class TolerationArgs(TypedDict, total=False):
    """One toleration, as in a pod's manifest; upper and lower case of `operator` and `effect` do not matter."""

    key: pulumi.Input[str]
    """The taint's key. Default: every key, with `Exists`."""
    operator: pulumi.Input[str]
    """`Equal` (default) or `Exists`."""
    value: pulumi.Input[str]
    """The taint's value, with `Equal`."""
    effect: pulumi.Input[str]
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: every effect."""
    tolerationSeconds: pulumi.Input[int | str]
    """How long a taint of `NoExecute` is tolerated. Default: for ever."""


class CertificateArgs(TypedDict, total=False):
    """Where a certificate is: a Secret or a ConfigMap in the node's namespace, and its key, `ca.crt` by default."""

    secret: pulumi.Input[str]
    """The Secret's name."""
    configmap: pulumi.Input[str]
    """The ConfigMap's name, in place of a Secret's."""
    key: pulumi.Input[str]
    """The key of the certificate. Default: `ca.crt`."""


class RegistryArgs(TypedDict, total=False):
    """What BuildKit does with a registry."""

    mirrors: Sequence[pulumi.Input[str]]
    """Registries that are asked first, as HOST or HOST/PATH."""
    http: pulumi.Input[bool | str]
    """Whether it is spoken to without TLS. Default: false."""
    insecure: pulumi.Input[bool | str]
    """Whether its certificate is not checked. Default: false."""
    ca: Sequence[CertificateArgs | pulumi.Input[str]] | CertificateArgs | pulumi.Input[str]
    """PEM certificates, paths in the container, or where the certificates are."""
    keypair: Sequence[pulumi.Input[str]] | pulumi.Input[str]
    """Secrets of type kubernetes.io/tls with a client certificate."""


class ClientArgs(TypedDict, total=False):
    """Who may build: `{"subject": "team-a/ci", "events": True}`."""

    subject: pulumi.Input[str]
    """A ServiceAccount as `namespace/name`, `user:NAME` or `group:NAME`."""
    nodes: Sequence[str] | str
    """The nodes that it may use, which share no namespace with others. Default: all."""
    events: bool | str
    """Whether it may read why a node has no ready pods: the workload and the namespace's events. Default: false."""
    scale: bool | str
    """Whether it may stop nodes, and start them by a build. Default: false."""


if TYPE_CHECKING:
    Tolerations = Sequence[TolerationArgs | PodTolerationArgs | pulumi.Input[str]] | str
    HostAliases = Mapping[str, pulumi.Input[str]] | Sequence[HostAliasArgs | Mapping[str, Any] | str] | str
    Affinity = AffinityArgs | Part
    DnsConfig = PodDNSConfigArgs | Part
    SecurityContext = PodSecurityContextArgs | Part
    SpreadConstraints = Sequence[TopologySpreadConstraintArgs | Mapping[str, Any]] | str
    Volumes = Sequence[VolumeArgs | Mapping[str, Any]] | str
    VolumeMounts = Sequence[VolumeMountArgs | Mapping[str, Any]] | str
    Containers = Sequence[ContainerArgs | Mapping[str, Any]] | str
