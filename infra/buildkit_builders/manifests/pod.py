"""The pod template of a builder node, the same for every kind of workload."""

from __future__ import annotations

from typing import Any

from buildkit_builders.manifests.buildkitd import config_volume
from buildkit_builders.manifests.container import buildkit_container, emulator_container, state_volume
from buildkit_builders.manifests.endpoint import endpoint_volume
from buildkit_builders.manifests.patch import merged
from buildkit_builders.manifests.podspec import add_pod_options
from buildkit_builders.options import Options
from buildkit_builders.spec import CONTAINER, NodeSpec

__all__ = ["all_annotations", "all_labels", "pod_template"]

PLATFORM_ANNOTATION = "buildx.docker.com/platform"
# The AppArmor annotation from before Kubernetes 1.30; the apiserver rejects a pod that has the field as well.
_OLD_APPARMOR = f"container.apparmor.security.beta.kubernetes.io/{CONTAINER}"
# A new file system belongs to root, and rootless BuildKit runs as user 1000. Only the volume's root is looked at: below
# it are files of other users, whose owner and mode are part of the cache.
_ROOTLESS_VOLUME = {"fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"}


def pod_template(node: NodeSpec) -> dict[str, Any]:
    """The `template` of a workload: metadata and spec of each pod."""
    options = node.options
    spec: dict[str, Any] = {"containers": [buildkit_container(options)]}
    if not options.is_persistent:
        spec["volumes"] = [_state_volume(options)]
    elif options.rootless:
        spec["securityContext"] = dict(_ROOTLESS_VOLUME)
    if options.qemu_install:
        spec["initContainers"] = [emulator_container(options)]
    if options.nodeselector:
        spec["nodeSelector"] = dict(options.nodeselector)
    if options.tolerations:
        spec["tolerations"] = [toleration.to_json() for toleration in options.tolerations]
    if options.serviceaccount:
        # And its deprecated alias: the apiserver copies the name into it, and back from it once the name is taken away,
        # unless both are ours to take away (Kubernetes' conversion of core/v1 PodSpec).
        spec["serviceAccountName"] = spec["serviceAccount"] = options.serviceaccount
    if options.schedulername:
        spec["schedulerName"] = options.schedulername
    if volume := [*config_volume(node), *endpoint_volume(node)]:
        spec["volumes"] = [*spec.get("volumes", []), *volume]
    add_pod_options(spec, options, node.selector)
    metadata: dict[str, Any] = {"labels": all_labels(node)}
    noted = {k: v for k, v in all_annotations(node).items() if not (options.rootless and k == _OLD_APPARMOR)}
    if noted:
        metadata["annotations"] = noted
    return merged({"metadata": metadata, "spec": spec}, options.pod_patch)


def all_labels(node: NodeSpec) -> dict[str, str]:
    """The labels of the workload and its pods: the user's, and the one by which the pods are found."""
    return {**node.options.labels, **node.selector}


def all_annotations(node: NodeSpec) -> dict[str, str]:
    """The annotations of the workload and its pods: the user's, and the platforms as docker buildx notes them."""
    noted = dict(node.options.annotations)
    if node.platforms:
        noted[PLATFORM_ANNOTATION] = ",".join(map(str, node.platforms))
    return noted


def _state_volume(options: Options) -> dict[str, Any]:
    # A volume even for state on disk: overlayfs does not stack on the container's own overlay, and without it BuildKit
    # copies every layer.
    memory = options.buildkit_root_volume_memory
    return {"name": state_volume(options), "emptyDir": {"medium": "Memory", "sizeLimit": str(memory)} if memory else {}}
