"""The options of a builder node, one row each: everything else that lists options is made from this table.

The rows are those of docker buildx's Kubernetes driver, with its names, types and defaults ("Kubernetes driver" in
Docker's documentation; buildx 0.38, driver/kubernetes/factory.go for what it accepts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from buildkit_builders.options import pairs, quantity, values
from buildkit_builders.options.problems import Refused

__all__ = ["BY_NAME", "IMAGE", "NAMES", "ROOTLESS_IMAGE", "TABLE", "Kind", "Row"]

IMAGE = "moby/buildkit:buildx-stable-1"
ROOTLESS_IMAGE = "moby/buildkit:buildx-stable-1-rootless"
RESERVED_ANNOTATIONS = "buildx.docker.com/"
APP_LABEL = "app"

_NONE: Mapping[str, str] = MappingProxyType({})


class Kind(NamedTuple):
    """A type of value: its name in the documentation, its JSON type, and what reads it."""

    name: str
    json: str
    """The natural type in structured config; a text is always taken too."""
    read: Callable[[object], Any]
    """Returns the value; raises Refused."""


class Row(NamedTuple):
    """One option."""

    name: str
    """As buildx spells it."""
    field: str
    """The field of `Options` that holds it."""
    kind: Kind
    default: Any
    default_text: str
    """The default in words, for the documentation."""
    example: str
    about: str
    seed_type: str
    """The type that buildx's own table names."""
    empty_is_unset: bool = False
    """Whether an empty text means the default, as in buildx."""


def _cpu(raw: object) -> quantity.Quantity:
    return quantity.read_quantity(raw, quantity.CPU)


def _bytes(raw: object) -> quantity.Quantity:
    return quantity.read_quantity(raw, quantity.BYTES)


def _more_than_none(raw: object) -> quantity.Quantity:
    found = quantity.read_quantity(raw, quantity.BYTES)
    if found.value == 0:
        raise Refused("give more than zero bytes, such as 6G")
    return found


IMAGE_KIND = Kind("image reference", "string", values.image)
LABEL_KIND = Kind("name (DNS label)", "string", values.dns_label)
SUBDOMAIN_KIND = Kind("name (DNS subdomain)", "string", values.dns_subdomain)
WORD_KIND = Kind("name", "string", values.word)
BOOLEAN_KIND = Kind("boolean", "boolean", values.boolean)
REPLICAS_KIND = Kind("whole number", "integer", values.integer(0, 2**31 - 1))
CPU_KIND = Kind("CPU units", "string", _cpu)
BYTES_KIND = Kind("bytes", "string", _bytes)
MEMORY_VOLUME_KIND = Kind("bytes", "string", _more_than_none)
DURATION_KIND = Kind("duration", "string", values.duration)
SELECTOR_KIND = Kind("key=value pairs", "object", pairs.read_labels())
LABELS_KIND = Kind("key=value pairs", "object", pairs.read_labels(reserved=(APP_LABEL,)))
ANNOTATIONS_KIND = Kind("key=value pairs", "object", pairs.read_annotations(RESERVED_ANNOTATIONS))
TOLERATIONS_KIND = Kind("tolerations", "array", pairs.read_tolerations)
LOADBALANCE_KIND = Kind("sticky or random", "string", values.choice(("sticky", "random")))

TABLE: tuple[Row, ...] = (
    Row(
        "image",
        "image",
        IMAGE_KIND,
        IMAGE,
        f"`{IMAGE}`, with rootless `{ROOTLESS_IMAGE}`",
        "registry.example/buildkit:v0.34.2",
        "The image that runs BuildKit.",
        "String",
        True,
    ),
    Row(
        "namespace",
        "namespace",
        LABEL_KIND,
        "",
        "the builder's, else that of the Kubernetes context",
        "buildkit",
        "The Kubernetes namespace of the node's objects.",
        "String",
    ),
    Row(
        "default-load",
        "default_load",
        BOOLEAN_KIND,
        False,
        "`false`",
        "true",
        "Whether a build without an output loads its image into Docker's store; buildclient has none, and refuses.",
        "Boolean",
    ),
    Row(
        "replicas",
        "replicas",
        REPLICAS_KIND,
        1,
        "`1`",
        "4",
        "How many BuildKit pods the node has.",
        "Integer",
    ),
    Row(
        "requests.cpu",
        "requests_cpu",
        CPU_KIND,
        None,
        "",
        "100m",
        "CPU that a pod is sure to have.",
        "CPU units",
        True,
    ),
    Row(
        "requests.memory",
        "requests_memory",
        BYTES_KIND,
        None,
        "",
        "500Mi",
        "Memory that a pod is sure to have.",
        "Memory size",
        True,
    ),
    Row(
        "requests.ephemeral-storage",
        "requests_ephemeral_storage",
        BYTES_KIND,
        None,
        "",
        "2Gi",
        "Disk space that a pod is sure to have. (docker buildx writes it into the limits; here it is a request.)",
        "Storage size",
        True,
    ),
    Row(
        "limits.cpu",
        "limits_cpu",
        CPU_KIND,
        None,
        "",
        "2",
        "CPU that a pod has at most.",
        "CPU units",
        True,
    ),
    Row(
        "limits.memory",
        "limits_memory",
        BYTES_KIND,
        None,
        "",
        "4G",
        "Memory that a pod has at most; more ends it.",
        "Memory size",
        True,
    ),
    Row(
        "limits.ephemeral-storage",
        "limits_ephemeral_storage",
        BYTES_KIND,
        None,
        "",
        "100G",
        "Disk space that a pod has at most; more ends it.",
        "Storage size",
        True,
    ),
    Row(
        "buildkit-root-volume-memory",
        "buildkit_root_volume_memory",
        MEMORY_VOLUME_KIND,
        None,
        "BuildKit's state is kept on disk",
        "6G",
        "Keeps BuildKit's state in memory, in at most so much of it.",
        "Memory size",
        True,
    ),
    Row(
        "nodeselector",
        "nodeselector",
        SELECTOR_KIND,
        _NONE,
        "",
        "kubernetes.io/arch=arm64",
        "Labels that a Kubernetes node must have to run the pods.",
        "CSV string",
    ),
    Row(
        "annotations",
        "annotations",
        ANNOTATIONS_KIND,
        _NONE,
        "",
        "team=build",
        "Annotations of the workload and its pods. Those under `buildx.docker.com/` are reserved.",
        "CSV string",
    ),
    Row(
        "labels",
        "labels",
        LABELS_KIND,
        _NONE,
        "",
        "team=build",
        "Labels of the workload and its pods. `app` is reserved: by it the pods are found.",
        "CSV string",
    ),
    Row(
        "tolerations",
        "tolerations",
        TOLERATIONS_KIND,
        (),
        "",
        "key=foo,value=bar;key=foo2,operator=Exists",
        "Taints of Kubernetes nodes that the pods put up with.",
        "CSV string",
    ),
    Row(
        "serviceaccount",
        "serviceaccount",
        SUBDOMAIN_KIND,
        "",
        "the namespace's `default`",
        "buildkit",
        "The ServiceAccount that the pods run as.",
        "String",
        True,
    ),
    Row(
        "schedulername",
        "schedulername",
        WORD_KIND,
        "",
        "Kubernetes' own",
        "batch-scheduler",
        "The scheduler that places the pods.",
        "String",
        True,
    ),
    Row(
        "timeout",
        "timeout",
        DURATION_KIND,
        120.0,
        "`120s`",
        "2m30s",
        "How long provisioning, and a build, wait for ready pods.",
        "Time",
    ),
    Row(
        "rootless",
        "rootless",
        BOOLEAN_KIND,
        False,
        "`false`",
        "true",
        "Whether BuildKit runs as an ordinary user, without `privileged`.",
        "Boolean",
    ),
    Row(
        "loadbalance",
        "loadbalance",
        LOADBALANCE_KIND,
        "sticky",
        "`sticky`",
        "random",
        "How a build's pod is chosen: `sticky`, always the same for the same project, or `random`.",
        "String",
    ),
    Row(
        "qemu.install",
        "qemu_install",
        BOOLEAN_KIND,
        False,
        "`false`",
        "true",
        "Whether each pod first installs emulators of other architectures on its Kubernetes node.",
        "Boolean",
    ),
    Row(
        "qemu.image",
        "qemu_image",
        IMAGE_KIND,
        "tonistiigi/binfmt:latest",
        "`tonistiigi/binfmt:latest`",
        "registry.example/binfmt:v10",
        "The image that installs the emulators.",
        "String",
        True,
    ),
)
NAMES = tuple(row.name for row in TABLE)
BY_NAME: Mapping[str, Row] = MappingProxyType({row.name: row for row in TABLE})
