"""Which level of Kubernetes' Pod Security Standards a node's pods pass (policy "v1.36", baseline).

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from buildkit_builders.manifests.pod import pod_template
from buildkit_builders.spec import NodeSpec

__all__ = ["ENFORCE", "LEVELS", "level_of", "namespace_level"]

ENFORCE = "pod-security.kubernetes.io/enforce"
"""The label of a namespace with the level that its pods must pass."""
LEVELS = ("privileged", "baseline", "restricted")
"""Each lets in less than the one before."""
_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    )
)  # fmt: skip
_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    )
)  # fmt: skip
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def namespace_level(nodes: list[NodeSpec]) -> str:
    """The strictest level that lets in the pods of all these nodes."""
    return min((level_of(pod_template(node)) for node in nodes), key=LEVELS.index, default="")


def level_of(template: Mapping[str, Any]) -> str:
    """`baseline` for a pod that passes it, else `privileged`. No node's pods pass `restricted`: BuildKit needs more."""
    return "privileged" if any(_beyond_baseline(template)) else "baseline"


def _beyond_baseline(template: Mapping[str, Any]) -> Iterator[bool]:
    spec = template.get("spec") or {}
    pod = spec.get("securityContext") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    yield any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    yield any("hostPath" in volume for volume in spec.get("volumes") or ())
    yield any(one.get("name") not in _SYSCTLS for one in pod.get("sysctls") or ())
    yield any(key.startswith(_APPARMOR) and value == "unconfined" for key, value in annotations.items())
    yield _is_open(pod)
    for name in ("initContainers", "containers"):
        for container in spec.get(name) or ():
            yield _is_open_container(container)


def _is_open(context: Mapping[str, Any]) -> bool:
    """What a pod's and a container's security context have in common."""
    selinux = context.get("seLinuxOptions") or {}
    return (
        any((context.get(name) or {}).get("type") == "Unconfined" for name in ("seccompProfile", "appArmorProfile"))
        or selinux.get("type", "") not in _SELINUX_TYPES
        or any(selinux.get(name) for name in ("user", "role"))
        or bool((context.get("windowsOptions") or {}).get("hostProcess"))
    )


def _is_open_container(container: Mapping[str, Any]) -> bool:
    context = container.get("securityContext") or {}
    added = (context.get("capabilities") or {}).get("add") or ()
    handlers = [container.get(name) or {} for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [one or {} for one in (container.get("lifecycle") or {}).values() if not isinstance(one, str)]
    return (
        bool(context.get("privileged"))
        or not _CAPABILITIES.issuperset(added)
        or context.get("procMount", "Default") != "Default"
        or any(port.get("hostPort") for port in container.get("ports") or ())
        or any((one.get(kind) or {}).get("host") for one in handlers for kind in ("httpGet", "tcpSocket"))
        or _is_open(context)
    )
