"""Which changes replace an object instead of updating it: one table, after the real provider's (its `diff.go`).

A path stands for everything below it; `[*]` is any element of a list. `metadata.name` and `metadata.namespace` replace
an object of every kind.
"""

from __future__ import annotations

from typing import Final

from standins.provider.objects import Object

__all__ = ["replacing_paths"]

_ALWAYS: Final = ("metadata.name", "metadata.namespace")

_POD_FIELDS: Final = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
)

_CONTAINER_FIELDS: Final = (
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)

_VOLUME_SOURCES: Final = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)


def _spec(*fields: str) -> tuple[str, ...]:
    return tuple(f"spec.{field}" for field in fields)


_CONTAINERS: Final = tuple(
    f"spec.{kind}[*].{field}" for kind in ("containers", "initContainers") for field in _CONTAINER_FIELDS
)
_STATEFUL: Final = _spec("podManagementPolicy", "revisionHistoryLimit", "selector", "serviceName")

_TABLE: Final[dict[str, tuple[str, ...]]] = {
    "apps/v1/Deployment": _spec("selector"),
    "apps/v1/DaemonSet": _spec("selector"),
    "apps/v1/StatefulSet": (*_STATEFUL, "spec.volumeClaimTemplates"),
    "batch/v1/Job": _spec("completions", "parallelism", "selector", "template"),
    "policy/v1beta1/PodDisruptionBudget": ("spec",),
    "rbac.authorization.k8s.io/v1/RoleBinding": ("roleRef",),
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": ("roleRef",),
    "storage.k8s.io/v1/StorageClass": ("parameters", "provisioner"),
    "v1/PersistentVolume": _spec(*_VOLUME_SOURCES),
    "v1/PersistentVolumeClaim": _spec("accessModes", "selector", "storageClassName", "volumeName"),
    "v1/Pod": (*_spec(*_POD_FIELDS), *_CONTAINERS),
    "v1/ResourceQuota": _spec("scopes"),
    "v1/Service": _spec("clusterIP"),
}


def replacing_paths(target: Object, *, mutable_config_maps: bool, mutable_secrets: bool) -> tuple[str, ...]:
    """The paths whose change replaces an object of this kind.

    The data of a ConfigMap and of a Secret counts as immutable unless the provider's settings say otherwise.
    """
    key = f"{target.get('apiVersion', '')}/{target.get('kind', '')}"
    immutable = target.get("immutable") is True
    if key == "v1/Secret":
        frozen = immutable or not mutable_secrets
        return (*_ALWAYS, "type", *(("stringData", "data") if frozen else ()))
    if key == "v1/ConfigMap":
        frozen = immutable or not mutable_config_maps
        return (*_ALWAYS, *(("binaryData", "data") if frozen else ()))
    return (*_ALWAYS, *_TABLE.get(key, ()))
