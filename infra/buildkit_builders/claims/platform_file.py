"""What `platform.yaml` may hold: its keys, each with its kind and what it says."""

from __future__ import annotations

from buildkit_builders.claims import kinds
from buildkit_builders.claims.platform import (
    DEFAULT_NAMESPACES,
    ClusterEntry,
    Defaults,
    Expiry,
    Images,
    Limits,
    LimitsOf,
    Platform,
    Replicas,
    Resources,
    Scaling,
    SizeClass,
)
from buildkit_builders.claims.shapes import Key, ListOf, MapOf, Record, Scalar
from buildkit_builders.options import values
from buildkit_builders.options.problems import InvalidValue

__all__ = ["PLATFORM", "SCALING"]


def _namespaces(raw: object) -> str:
    allowed = 'give a namespace with {team} in it, and perhaps {name}, such as "builders-{team}"'
    text = values.text_of(raw, allowed)
    plain = text.replace("{team}", "t").replace("{name}", "n")
    if "{team}" not in text or not _is_label(plain):
        raise InvalidValue(allowed)
    return text


def _is_label(text: str) -> bool:
    try:
        return bool(values.dns_label(text))
    except InvalidValue:
        return False


_NAMESPACES = Scalar("pattern of namespaces", _namespaces, {"type": "string", "pattern": r"\{team\}"})
_ARCHITECTURES = ListOf(kinds.ARCHITECTURE, "architectures, such as [amd64, arm64]")

SCALING = Record(
    Scaling,
    (
        Key(
            "min",
            kinds.COUNT,
            "The fewest pods on each architecture; for 0, give to-zero-after.",
            default="1",
            example="1",
        ),
        Key("max", kinds.POSITIVE, "The most pods on each architecture.", default="as min, at least 1", example="4"),
        Key(
            "to-zero-after",
            kinds.SECONDS,
            "How long nothing must have been built until the builder goes to no pods; a build starts it again.",
            default="never",
            example="30m",
        ),
    ),
    "How many pods the builder has on each architecture.",
)
_RESOURCES = Record(
    Resources,
    (
        Key("cpu", kinds.CPU, "CPU of each pod.", example='"2"'),
        Key("memory", kinds.BYTES, "Memory of each pod.", example="4Gi"),
        Key("ephemeral-storage", kinds.BYTES, "Disk of each pod.", example="20Gi"),
    ),
)
_REPLICAS = Record(
    Replicas,
    (
        Key("min", kinds.COUNT, "The fewest that a claim must ask for.", default="0", example="0"),
        Key("max", kinds.POSITIVE, "The most that a claim may ask for.", default="no bound", example="4"),
    ),
    "How many pods a claim of this size may ask for on each architecture.",
)
_SIZE = Record(
    SizeClass,
    (
        Key("requests", _RESOURCES, "What each pod requests."),
        Key("limits", _RESOURCES, "What each pod may use."),
        Key("volume", kinds.BYTES, "The volume of each pod, which keeps its cache.", default="none", example="100Gi"),
        Key("storage-class", kinds.NAMES, "The StorageClass of the volumes.", default="the cluster's", example="fast"),
        Key("cache", kinds.BYTES, "The cache that a pod keeps.", default="80% of the volume", example="60Gi"),
        Key("max-cache", kinds.BYTES, "The most cache a claim may ask for.", default="90% of the volume"),
        Key("replicas", _REPLICAS, "How many pods a claim may ask for on each architecture."),
        Key("driver-opts", kinds.DriverOpts(), "More driver options of builders of this size."),
    ),
    "A size class: how large a pod is, and how many of them there may be.",
)
_LIMITS = Record(
    Limits,
    (
        Key("cpu", kinds.CPU, "The most CPU that is requested.", example='"32"'),
        Key("memory", kinds.BYTES, "The most memory that is requested.", example="64Gi"),
        Key("limits.cpu", kinds.CPU, "The sum of the CPU limits.", example='"64"'),
        Key("limits.memory", kinds.BYTES, "The sum of the memory limits.", example="128Gi"),
        Key("storage", kinds.BYTES, "The sum of the volumes.", example="1Ti"),
        Key("builders", kinds.COUNT, "How many builders.", example="3"),
        Key("pods", kinds.COUNT, "How many pods, when all are scaled up.", example="12"),
    ),
)
PLATFORM = Record(
    Platform,
    (
        Key(
            "clusters",
            MapOf(
                Record(
                    ClusterEntry,
                    (
                        Key("context", kinds.TEXT, "The kubeconfig's context.", required=True, example="prod-eu"),
                        Key("namespaces", _NAMESPACES, "As namespaces below, in this cluster."),
                        Key("architectures", _ARCHITECTURES, "What its machines are.", default="any"),
                    ),
                    "A cluster that builders may be in.",
                    is_kept=True,
                ),
                "clusters",
                values.dns_label,
            ),
            "The clusters that builders may be in, by name.",
            required=True,
            example="{main: {context: prod-eu}}",
        ),
        Key(
            "sizes",
            MapOf(_SIZE, "size classes", values.dns_label),
            "The size classes, by name.",
            required=True,
            example="{small: {requests: {cpu: 1, memory: 2Gi}}}",
        ),
        Key(
            "namespaces",
            _NAMESPACES,
            "The namespace of a team's builders; with {name} each builder has one of its own.",
            default=f"`{DEFAULT_NAMESPACES}`",
            example='"builders-{team}"',
        ),
        Key(
            "limits",
            Record(
                LimitsOf,
                (
                    Key("total", _LIMITS, "Of all claims together."),
                    Key("team", _LIMITS, "Of each team."),
                    Key("teams", MapOf(_LIMITS, "limits", values.dns_label), "Of some teams instead, by name."),
                ),
            ),
            "The most that there may be, with every builder scaled up.",
        ),
        Key(
            "images",
            Record(
                Images,
                (
                    Key("buildkit", kinds.IMAGE, "BuildKit, for privileged builders."),
                    Key("rootless", kinds.IMAGE, "BuildKit, for all others."),
                    Key("client", kinds.IMAGE, "This project's client, for builders that scale to zero."),
                ),
            ),
            "The images of the builders, by digest.",
        ),
        Key(
            "registries",
            MapOf(kinds.REGISTRY, "settings of registries"),
            "Mirrors, CAs and more of registries, by host, as option buildkitd.registry.* has them.",
            example="{docker.io: {mirrors: [mirror.example]}}",
        ),
        Key("driver-opts", kinds.DriverOpts(), "Driver options of every builder.", example="{network-policy: true}"),
        Key(
            "defaults",
            Record(
                Defaults,
                (
                    Key("cluster", kinds.NAMES, "The cluster.", default="the only one"),
                    Key("size", kinds.NAMES, "The size class.", default="the only one"),
                    Key("architectures", _ARCHITECTURES, "The architectures.", default="`[amd64]`"),
                    Key("scaling", SCALING, "The scaling."),
                    Key("privileged", kinds.FLAG, "Whether builders are privileged.", default="`false`"),
                    Key("labels", kinds.LABELS, "Labels of every builder; a claim's override them."),
                ),
            ),
            "What a claim gets that does not say otherwise.",
        ),
        Key("required-labels", ListOf(kinds.LABEL_NAME, "names of labels"), "Labels that every builder must have."),
        Key(
            "privileged",
            ListOf(kinds.PATTERN, "namespaces"),
            "Namespaces, or patterns of them, whose builders may be privileged.",
            default="none",
            example='["builders-*"]',
        ),
        Key(
            "expiry",
            Record(
                Expiry,
                (
                    Key("required", kinds.FLAG, "Whether a claim must say when it ends.", default="`false`"),
                    Key("most-days", kinds.POSITIVE, "How many days ahead that may be.", default="any"),
                    Key("warn-days", kinds.COUNT, "How many days before it a plan warns.", default="`14`"),
                ),
            ),
            "Rules of the day on which a claim ends.",
        ),
        Key(
            "policies",
            MapOf(kinds.SEVERITY, "severities"),
            "The severity of policies by name: error, warning or off.",
            default="`error`",
            example="{image-digest: warning}",
        ),
    ),
    "What the platform team provides and allows.",
)
