"""The fields of those parts of a pod that options hold (Kubernetes 1.36, core/v1), and their parsers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from buildkit_builders.options.problems import InvalidValue, nearest
from buildkit_builders.options.quantity import BYTES, CPU, read_quantity
from buildkit_builders.options.structure import ANY, plain, read_json, structure
from buildkit_builders.options.values import dns_label, dns_subdomain, image

__all__ = [
    "read_affinity",
    "read_containers",
    "read_dns_config",
    "read_host_aliases",
    "read_init_containers",
    "read_mounts",
    "read_names",
    "read_patch",
    "read_security_context",
    "read_spread",
    "read_volumes",
]

RESERVED_NAMES = ("buildkitd", "qemu", "state")
"""Containers and volumes of ours; so are all volumes that begin with `buildkitd-`."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIREMENTS = [{"key!": str, "operator!": str, "values": [str]}]
_SELECTOR = {"matchLabels": ANY, "matchExpressions": _REQUIREMENTS}
_NODE_TERM = {"matchExpressions": _REQUIREMENTS, "matchFields": _REQUIREMENTS}
_POD_TERM = {
    "topologyKey!": str, "labelSelector": _SELECTOR, "namespaceSelector": _SELECTOR, "namespaces": [str],
    "matchLabelKeys": [str], "mismatchLabelKeys": [str],
}  # fmt: skip
_POD_AFFINITY = {_REQUIRED: [_POD_TERM], _PREFERRED: [{"weight!": int, "podAffinityTerm!": _POD_TERM}]}
_AFFINITY = {
    "nodeAffinity": {
        _REQUIRED: {"nodeSelectorTerms!": [_NODE_TERM]},
        _PREFERRED: [{"weight!": int, "preference!": _NODE_TERM}],
    },
    "podAffinity": _POD_AFFINITY,
    "podAntiAffinity": _POD_AFFINITY,
}
_SPREAD = {
    "topologyKey!": str, "maxSkew": int, "whenUnsatisfiable": str, "labelSelector": _SELECTOR, "minDomains": int,
    "matchLabelKeys": [str], "nodeAffinityPolicy": str, "nodeTaintsPolicy": str,
}  # fmt: skip
_DNS_CONFIG = {"nameservers": [str], "searches": [str], "options": [{"name!": str, "value": str}]}
_SECURITY_CONTEXT = {
    "runAsUser": int, "runAsGroup": int, "runAsNonRoot": bool, "fsGroup": int, "fsGroupChangePolicy": str,
    "supplementalGroups": [int], "supplementalGroupsPolicy": str, "seLinuxOptions": ANY, "seLinuxChangePolicy": str,
    "seccompProfile": ANY, "appArmorProfile": ANY, "sysctls": [{"name!": str, "value!": str}], "windowsOptions": ANY,
}  # fmt: skip
_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi", "downwardAPI", "emptyDir",
    "ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image",
    "iscsi", "nfs", "persistentVolumeClaim", "photonPersistentDisk", "portworxVolume", "projected", "quobyte", "rbd",
    "scaleIO", "secret", "storageos", "vsphereVolume",
)  # fmt: skip
_MOUNT = {
    "name!": str, "mountPath!": str, "readOnly": bool, "recursiveReadOnly": str, "subPath": str, "subPathExpr": str,
    "mountPropagation": str,
}  # fmt: skip
_CONTAINER = {
    "name!": str, "image!": str, "command": [str], "args": [str], "workingDir": str, "env": [ANY], "envFrom": [ANY],
    "ports": [ANY], "resources": ANY, "resizePolicy": [ANY], "volumeMounts": [_MOUNT], "volumeDevices": [ANY],
    "livenessProbe": ANY, "readinessProbe": ANY, "startupProbe": ANY, "lifecycle": ANY, "securityContext": ANY,
    "imagePullPolicy": str, "terminationMessagePath": str, "terminationMessagePolicy": str, "stdin": bool,
    "stdinOnce": bool, "tty": bool,
}  # fmt: skip
_POD = (
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers", "hostname",
    "hostnameOverride", "imagePullSecrets", "initContainers", "nodeName", "nodeSelector", "os", "overhead",
    "preemptionPolicy", "priority", "priorityClassName", "readinessGates", "resourceClaims", "resources",
    "restartPolicy", "runtimeClassName", "schedulerName", "schedulingGates", "securityContext", "serviceAccount",
    "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds",
    "tolerations", "topologySpreadConstraints", "volumes",
)  # fmt: skip

read_affinity = structure(_AFFINITY, '{"nodeAffinity":{…}}')
read_dns_config = structure(_DNS_CONFIG, '{"nameservers":["10.0.0.10"]}')
read_security_context = structure(_SECURITY_CONTEXT, '{"fsGroup":1000}')
_spread = structure([_SPREAD], '[{"topologyKey":"kubernetes.io/hostname"}]')
_volumes = structure([{"name!": str, **dict.fromkeys(_SOURCES, ANY)}], '[{"name":"certs","secret":{…}}]')
_mounts = structure([_MOUNT], '[{"name":"certs","mountPath":"/certs"}]')
_sidecars = structure([_CONTAINER], '[{"name":"log","image":"busybox"}]')
_init_containers = structure([{**_CONTAINER, "restartPolicy": str}], '[{"name":"sysctl","image":"busybox"}]')


def read_names(raw: object) -> tuple[str, ...]:
    """Names of objects, from a list or from text with commas."""
    parts = raw.strip().strip('"').split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise InvalidValue("give a list of names, as text with commas between")
    names = [dns_subdomain(one["name"] if isinstance(one, Mapping) and set(one) == {"name"} else one) for one in parts]
    return tuple(dict.fromkeys(names))


def read_spread(raw: object) -> list[dict[str, Any]]:
    """Topology spread constraints; without `maxSkew` and `whenUnsatisfiable`, 1 and `ScheduleAnyway`."""
    allowed = ("DoNotSchedule", "ScheduleAnyway")
    found = [{"maxSkew": 1, "whenUnsatisfiable": allowed[1], **one} for one in _spread(raw)]
    for one in found:
        if one["whenUnsatisfiable"] not in allowed:
            raise InvalidValue(f"whenUnsatisfiable must be {' or '.join(allowed)}", given=one["whenUnsatisfiable"])
        if one["maxSkew"] < 1:
            raise InvalidValue("maxSkew must be more than zero", given=one["maxSkew"])
    _check_unique([one["topologyKey"] + " " + one["whenUnsatisfiable"] for one in found], "constraint")
    return found


def read_host_aliases(raw: object) -> Mapping[str, tuple[str, ...]]:
    """Names by their address, from `name=address` pairs, a mapping of them, or Kubernetes' own list."""
    allowed = "give name=address pairs, separated by commas"
    pairs: list[tuple[object, object]] = []
    if isinstance(raw, str):
        raw = [part.strip() for part in raw.strip().strip('"').split(",")]
    if isinstance(raw, Mapping):
        pairs = list(raw.items())
    elif isinstance(raw, list | tuple):
        for one in raw:
            if isinstance(one, Mapping) and isinstance(one.get("hostnames"), list | tuple):
                pairs += [(name, one.get("ip")) for name in one["hostnames"]]
            elif isinstance(one, str) and "=" in one:
                pairs.append(one.split("=", 1))  # type: ignore[arg-type]
            else:
                raise InvalidValue(allowed, given=one)
    else:
        raise InvalidValue(allowed)
    found: dict[str, list[str]] = {}
    for name, address in pairs:
        try:
            found.setdefault(str(ipaddress.ip_address(str(address).strip())), []).append(dns_subdomain(name))
        except ValueError as error:
            if isinstance(error, InvalidValue):
                raise
            raise InvalidValue("give an IP address behind the name", given=address) from None
    return MappingProxyType({address: tuple(dict.fromkeys(names)) for address, names in found.items()})


def read_volumes(raw: object) -> list[dict[str, Any]]:
    """Volumes of the pod, each with a name of its own and one source."""
    found: list[dict[str, Any]] = _volumes(raw)
    for one in found:
        if len(one) != 2:
            raise InvalidValue("a volume has a name and one source, such as secret", given=one)
        _check_name(one["name"], "volume")
    _check_unique([one["name"] for one in found], "volume")
    return found


def read_mounts(raw: object) -> list[dict[str, Any]]:
    """Mounts of the BuildKit container, each at an absolute path of its own."""
    found: list[dict[str, Any]] = _mounts(raw)
    for one in found:
        if not one["mountPath"].startswith("/") or ":" in one["mountPath"]:
            raise InvalidValue('mountPath must be an absolute path without ":"', given=one["mountPath"])
    _check_unique([one["mountPath"].rstrip("/") for one in found], "mountPath")
    return found


def read_containers(raw: object) -> list[dict[str, Any]]:
    """Containers that run beside BuildKit's."""
    return _containers(_sidecars(raw))


def read_init_containers(raw: object) -> list[dict[str, Any]]:
    """Containers that run before BuildKit's, or from before it on with `restartPolicy: Always`."""
    return _containers(_init_containers(raw))


def _containers(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for one in found:
        _check_name(one["name"], "container")
        image(one["image"])
        _canonical(one.get("resources"))
    _check_unique([one["name"] for one in found], "container")
    return found


def _canonical(resources: Any) -> None:
    """Writes quantities as the apiserver stores them: otherwise a preview after a refresh shows a change."""
    if not isinstance(resources, dict):
        return
    for amounts in (resources.get("requests"), resources.get("limits")):
        for name, measure in (("cpu", CPU), ("memory", BYTES), ("ephemeral-storage", BYTES)):
            if isinstance(amounts, dict) and name in amounts:
                amounts[name] = str(read_quantity(amounts[name], measure))


def _check_name(name: str, what: str) -> None:
    dns_label(name)
    if name in RESERVED_NAMES or name.startswith("buildkitd-"):
        raise InvalidValue(f"the {what}'s name is reserved; give another", given=name)


def _check_unique(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"two have the same {what}", given=name)


def read_patch(raw: object) -> dict[str, Any]:
    """A patch of the pod template: `metadata` (labels, annotations) and `spec`, whose fields are Kubernetes'."""
    example = '{"spec":{"enableServiceLinks":false}}'
    found = plain(read_json(raw, f"give a mapping, or its JSON as text, such as {example}"))
    if not isinstance(found, dict):
        raise InvalidValue(f"give a mapping, such as {example}")
    _check_fields(found, ("metadata", "spec"), "a pod template")
    _check_fields(found.get("metadata"), ("labels", "annotations"), "metadata")
    _check_fields(found.get("spec"), _POD, "spec")
    metadata = found.get("metadata", {})
    if "app" in metadata.get("labels", {}):
        raise InvalidValue('the label "app" is reserved: the pods are found by it', given="app")
    for key in metadata.get("annotations", {}):
        if key.startswith("buildx.docker.com/"):
            raise InvalidValue("annotations buildx.docker.com/… are reserved", given=key)
    if "containers" in found.get("spec", {}):
        _check_patched(found["spec"]["containers"])
    return found


def _check_fields(value: Any, known: tuple[str, ...], what: str) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidValue(f"{what} must be a mapping", given=value)
    for name, one in value.items():
        if name not in known:
            near = nearest(name, known)
            raise InvalidValue(f"{what} has no such field", f'did you mean "{near}"?' if near else "", given=name)
        if what != "spec" and not isinstance(one, dict):
            raise InvalidValue(f"{name} must be a mapping", given=one)


def _check_patched(containers: Any) -> None:
    if not isinstance(containers, list) or not all(isinstance(one, dict) and one.get("name") for one in containers):
        raise InvalidValue("containers must be a list, each with its name", given=containers)
    for one in containers:
        if one["name"] == RESERVED_NAMES[0] and "$patch" in one:
            raise InvalidValue("the container buildkitd stays", given=one)
