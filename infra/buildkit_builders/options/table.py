"""The options of a builder node, one row each; all other lists of options are made from this table.

The rows are those of docker buildx's Kubernetes driver, with its names, types and defaults ("Kubernetes driver" in
Docker's documentation; buildx 0.38, driver/kubernetes/factory.go for what it accepts), and ours beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from buildclient.contract.output import LOADBALANCE
from buildkit_builders.options import pairs, quantity, values
from buildkit_builders.options.autoscale import AUTOSCALE_ROWS
from buildkit_builders.options.buildkitd import BUILDKITD_ROWS
from buildkit_builders.options.claim import CLAIM_ROWS
from buildkit_builders.options.disruption import DISRUPTION_ROWS
from buildkit_builders.options.kinds import BOOLEAN, SUBDOMAIN
from buildkit_builders.options.network import NETWORK_ROWS
from buildkit_builders.options.podspec import POD_ROWS
from buildkit_builders.options.rest import REST_ROWS
from buildkit_builders.options.row import Kind, OptionRow, OptionTable
from buildkit_builders.options.sharing import SHARING_ROWS

__all__ = ["IMAGE", "ROOTLESS_IMAGE", "TABLE", "Kind", "OptionRow", "OptionTable"]

IMAGE = "moby/buildkit:buildx-stable-1"
ROOTLESS_IMAGE = "moby/buildkit:buildx-stable-1-rootless"
RESERVED_ANNOTATIONS = "buildx.docker.com/"
APP_LABEL = "app"

_NONE: Mapping[str, str] = MappingProxyType({})


def _cpu(raw: object) -> quantity.Quantity:
    return quantity.read_quantity(raw, quantity.CPU)


def _bytes(raw: object) -> quantity.Quantity:
    return quantity.read_quantity(raw, quantity.BYTES)


IMAGE_KIND = Kind("image reference", "string", values.image)
LABEL_KIND = Kind("name (DNS label)", "string", values.dns_label)
WORD_KIND = Kind("name", "string", values.word)
REPLICAS_KIND = Kind("whole number", "integer", values.integer(0, 2**31 - 1))
CPU_KIND = Kind("CPU units", "string", _cpu, "str | int | float")
BYTES_KIND = Kind("bytes", "string", _bytes, "str | int")
MEMORY_VOLUME_KIND = Kind("bytes", "string", quantity.more_than_none, "str | int")
DURATION_KIND = Kind("duration", "string", values.duration)
SELECTOR_KIND = Kind("key=value pairs", "object", pairs.read_labels(), "Pairs")
LABELS_KIND = Kind("key=value pairs", "object", pairs.read_labels(reserved=(APP_LABEL,)), "Pairs")
ANNOTATIONS_KIND = Kind("key=value pairs", "object", pairs.read_annotations(RESERVED_ANNOTATIONS), "Pairs")
TOLERATIONS_KIND = Kind("tolerations", "array", pairs.read_tolerations, "Tolerations")
LOADBALANCE_KIND = Kind("sticky, random or least-loaded", "string", values.choice(LOADBALANCE))

TABLE = OptionTable(
    (
        OptionRow(
            "image",
            IMAGE_KIND,
            IMAGE,
            default_text=f"`{IMAGE}`, with rootless `{ROOTLESS_IMAGE}`",
            example="registry.example/buildkit:v0.34.2",
            about="The image that runs BuildKit.",
            empty_is_unset=True,
        ),
        OptionRow(
            "namespace",
            LABEL_KIND,
            "",
            default_text="the builder's, else that of the Kubernetes context",
            example="buildkit",
            about="The Kubernetes namespace of the node's objects.",
        ),
        OptionRow(
            "default-load",
            BOOLEAN,
            False,
            default_text="`false`",
            example="true",
            about="Whether a build without an output loads its image into a Docker Engine, Podman or containerd.",
        ),
        OptionRow(
            "replicas",
            REPLICAS_KIND,
            1,
            default_text="`1`",
            example="4",
            about="How many BuildKit pods the node has.",
        ),
        OptionRow(
            "requests.cpu",
            CPU_KIND,
            None,
            example="100m",
            about="CPU request of each pod.",
            empty_is_unset=True,
        ),
        OptionRow(
            "requests.memory",
            BYTES_KIND,
            None,
            example="500Mi",
            about="Memory request of each pod.",
            empty_is_unset=True,
        ),
        OptionRow(
            "requests.ephemeral-storage",
            BYTES_KIND,
            None,
            example="2Gi",
            about="Disk request of each pod. (docker buildx writes it into the limits; here it is a request.)",
            empty_is_unset=True,
        ),
        OptionRow(
            "limits.cpu",
            CPU_KIND,
            None,
            example="2",
            about="CPU limit of each pod.",
            empty_is_unset=True,
        ),
        OptionRow(
            "limits.memory",
            BYTES_KIND,
            None,
            example="4G",
            about="Memory limit of each pod; above it the pod is OOM-killed.",
            empty_is_unset=True,
        ),
        OptionRow(
            "limits.ephemeral-storage",
            BYTES_KIND,
            None,
            example="100G",
            about="Disk limit of each pod; above it the pod is evicted.",
            empty_is_unset=True,
        ),
        OptionRow(
            "buildkit-root-volume-memory",
            MEMORY_VOLUME_KIND,
            None,
            default_text="BuildKit's state is kept on disk",
            example="6G",
            about="Keeps BuildKit's state in memory, at most this much.",
            empty_is_unset=True,
        ),
        *CLAIM_ROWS,
        OptionRow(
            "nodeselector",
            SELECTOR_KIND,
            _NONE,
            example="kubernetes.io/arch=arm64",
            about="Labels that a Kubernetes node must have to run the pods.",
        ),
        OptionRow(
            "annotations",
            ANNOTATIONS_KIND,
            _NONE,
            example="team=build",
            about="Annotations of the workload and its pods. Those under `buildx.docker.com/` are reserved.",
        ),
        OptionRow(
            "labels",
            LABELS_KIND,
            _NONE,
            example="team=build",
            about="Labels of the workload and its pods. `app` is reserved: by it the pods are found.",
        ),
        OptionRow(
            "tolerations",
            TOLERATIONS_KIND,
            (),
            example="key=foo,value=bar;key=foo2,operator=Exists",
            about="Taints of Kubernetes nodes that the pods tolerate.",
        ),
        OptionRow(
            "serviceaccount",
            SUBDOMAIN,
            "",
            default_text="the namespace's `default`",
            example="buildkit",
            about="The ServiceAccount that the pods run as.",
            empty_is_unset=True,
        ),
        OptionRow(
            "schedulername",
            WORD_KIND,
            "",
            default_text="Kubernetes' own",
            example="batch-scheduler",
            about="The scheduler that places the pods.",
            empty_is_unset=True,
        ),
        OptionRow(
            "timeout",
            DURATION_KIND,
            120.0,
            default_text="`120s`",
            example="2m30s",
            about="How long provisioning, and a build, wait for ready pods.",
        ),
        OptionRow(
            "rootless",
            BOOLEAN,
            False,
            default_text="`false`",
            example="true",
            about="Whether BuildKit runs as an ordinary user, without `privileged`.",
        ),
        OptionRow(
            "loadbalance",
            LOADBALANCE_KIND,
            "sticky",
            default_text="`sticky`",
            example="random",
            about="How a build's pod is chosen: `sticky`, always the same for the same project, `random`, or "
            "`least-loaded` ([choosing-pods.md](choosing-pods.md)).",
        ),
        *SHARING_ROWS,
        OptionRow(
            "qemu.install",
            BOOLEAN,
            False,
            default_text="`false`",
            example="true",
            about="Whether each pod first installs emulators of other architectures on its Kubernetes node.",
        ),
        OptionRow(
            "qemu.image",
            IMAGE_KIND,
            "tonistiigi/binfmt:latest",
            default_text="`tonistiigi/binfmt:latest`",
            example="registry.example/binfmt:v10",
            about="The image that installs the emulators.",
            empty_is_unset=True,
        ),
        *DISRUPTION_ROWS,
        *AUTOSCALE_ROWS,
        *REST_ROWS,
        *POD_ROWS,
        *NETWORK_ROWS,
        *BUILDKITD_ROWS,
    )
)
