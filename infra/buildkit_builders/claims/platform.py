"""What the platform team says in `platform.yaml`: clusters, size classes, limits, images, rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from buildkit_builders.claims.problem import ERROR
from buildkit_builders.options.quantity import Quantity

__all__ = [
    "DEFAULT_NAMESPACES",
    "ClusterEntry",
    "Defaults",
    "Expiry",
    "Images",
    "Limits",
    "LimitsOf",
    "Platform",
    "Replicas",
    "Resources",
    "Scaling",
    "SizeClass",
]

DEFAULT_NAMESPACES = "builders-{team}"


class ClusterEntry(NamedTuple):
    """A cluster that builders may be in."""

    context: str = ""
    """The kubeconfig's context."""
    namespaces: str = ""
    """As that of the platform, for this cluster; empty for the platform's."""
    architectures: tuple[str, ...] = ()
    """What its machines are; empty for anything."""


class Resources(NamedTuple):
    """What one pod requests, or may use."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = None


class Replicas(NamedTuple):
    """How many pods a node of a size class has."""

    min: int = 0
    max: int | None = None


@dataclass(frozen=True)
class SizeClass:
    """How large a pod is, and how many of them a claim may ask for on each architecture."""

    requests: Resources = field(default_factory=Resources)
    limits: Resources = field(default_factory=Resources)
    volume: Quantity | None = None
    """The volume of each pod; None for no volume."""
    storage_class: str = ""
    cache: Quantity | None = None
    """How much of the volume is cache where a claim does not say."""
    max_cache: Quantity | None = None
    """The most that a claim may ask for."""
    replicas: Replicas = field(default_factory=Replicas)
    driver_opts: Mapping[str, Any] = field(default_factory=dict)


class Limits(NamedTuple):
    """The most that builders may have together; None for no limit. CPU and memory are requests."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    limits_cpu: Quantity | None = None
    limits_memory: Quantity | None = None
    storage: Quantity | None = None
    builders: int | None = None
    pods: int | None = None


@dataclass(frozen=True)
class LimitsOf:
    """Limits of whom."""

    total: Limits = field(default_factory=Limits)
    """Of all claims together."""
    team: Limits = field(default_factory=Limits)
    """Of each team."""
    teams: Mapping[str, Limits] = field(default_factory=dict)
    """Of some teams instead: what one does not say is as for each team."""

    def of(self, team: str) -> Limits:
        """The limits of a team."""
        own = self.teams.get(team, Limits())
        return Limits._make(one if one is not None else each for one, each in zip(own, self.team, strict=True))


class Images(NamedTuple):
    """The images of builders; empty for those of the options."""

    buildkit: str = ""
    rootless: str = ""
    """The image of builders that are not privileged."""
    client: str = ""
    """This project's client, which scales builders to zero."""


class Scaling(NamedTuple):
    """How many pods a builder has on each architecture."""

    min: int | None = None
    max: int | None = None
    to_zero_after: int | None = None
    """Seconds without a build after which it goes to no pods; None for never."""


@dataclass(frozen=True)
class Defaults:
    """What a claim gets that does not say otherwise."""

    cluster: str = ""
    size: str = ""
    architectures: tuple[str, ...] = ("amd64",)
    scaling: Scaling = field(default_factory=Scaling)
    privileged: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


class Expiry(NamedTuple):
    """Rules of the day on which a claim ends."""

    required: bool = False
    most_days: int | None = None
    """How far ahead the day may be."""
    warn_days: int = 14
    """How many days before it a plan warns."""


@dataclass(frozen=True)
class Platform:
    """What the platform team provides and allows."""

    clusters: Mapping[str, ClusterEntry] = field(default_factory=dict)
    sizes: Mapping[str, SizeClass] = field(default_factory=dict)
    namespaces: str = DEFAULT_NAMESPACES
    """The namespace of a claim's builder, with `{team}` and perhaps `{name}`."""
    limits: LimitsOf = field(default_factory=LimitsOf)
    images: Images = field(default_factory=Images)
    registries: Mapping[str, Any] = field(default_factory=dict)
    """BuildKit's settings of registries by host, as `buildkitd.registry.*`: mirrors, CAs."""
    driver_opts: Mapping[str, Any] = field(default_factory=dict)
    """Driver options of every builder; size classes and claims override them."""
    defaults: Defaults = field(default_factory=Defaults)
    required_labels: tuple[str, ...] = ()
    privileged: tuple[str, ...] = ()
    """Namespaces, or patterns of them, whose pods may be privileged."""
    expiry: Expiry = field(default_factory=Expiry)
    policies: Mapping[str, str] = field(default_factory=dict)
    """The severity of a policy by its name, where it is not `error`: `error`, `warning` or `off`."""
    file: str = "platform.yaml"
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """The line of each key, by its place: `sizes.small.volume`."""

    def namespace_pattern(self, cluster: str) -> str:
        """The pattern of namespaces in a cluster."""
        entry = self.clusters.get(cluster)
        return (entry.namespaces if entry else "") or self.namespaces

    def may_be_privileged(self, namespace: str) -> bool:
        """Whether pods of the namespace may be privileged."""
        return any(fnmatchcase(namespace, pattern) for pattern in self.privileged)

    def severity(self, policy: str) -> str:
        """The severity of a policy: `error` unless the file says otherwise."""
        return self.policies.get(policy, ERROR)
