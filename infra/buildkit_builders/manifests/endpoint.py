"""A node's TCP port for clients with a certificate: BuildKit's flags and files, the Service, the Certificate.

BuildKit asks every client on that port for a certificate (`--tlscacert`); execs and probes use the socket in the pod.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from buildclient.contract.address import Tcp
from buildkit_builders.manifests.child import Child
from buildkit_builders.options import Options
from buildkit_builders.spec import NodeSpec

__all__ = ["certificate", "endpoint_args", "endpoint_mount", "endpoint_volume", "service"]

_VOLUME = "buildkitd-endpoint"
_FOLDER = "/etc/buildkit-endpoint"
_CLIENT_CA = "client-ca.crt"
# Pods come later, and none need come: the Service is there once it is stored.
_NO_WAIT = {"pulumi.com/skipAwait": "true"}


def endpoint_args(options: Options) -> list[str]:
    """BuildKit's flags for the port; empty without one."""
    if not options.has_endpoint:
        return []
    return [
        # A given address takes the place of the socket.
        f"--addr=unix://{'/run/user/1000' if options.rootless else '/run'}/buildkit/buildkitd.sock",
        f"--addr=tcp://0.0.0.0:{options.endpoint_port}",
        f"--tlscert={_FOLDER}/tls.crt",
        f"--tlskey={_FOLDER}/tls.key",
        f"--tlscacert={_FOLDER}/{_CLIENT_CA}",
    ]


def endpoint_mount(options: Options) -> list[dict[str, Any]]:
    """Where the container has the certificates; empty without a port."""
    return [{"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}] if options.has_endpoint else []


def endpoint_volume(node: NodeSpec) -> list[dict[str, Any]]:
    """The pod's volume with the certificates; empty without a port."""
    if not node.options.has_endpoint:
        return []
    own = node.options.endpoint_secret or _issued(node)
    sources = [
        _secret(own, {"tls.crt": "tls.crt", "tls.key": "tls.key"}),
        _secret(node.options.endpoint_client_ca or own, {"ca.crt": _CLIENT_CA}),
    ]
    return [{"name": _VOLUME, "projected": {"sources": sources}}]


def service(node: NodeSpec) -> Child | None:
    """The Service of the port; None without one."""
    options = node.options
    if not options.has_endpoint:
        return None
    metadata = _metadata(node, node.workload)
    spec = {
        "type": options.endpoint_service_type,
        "selector": dict(node.selector),
        # A client stays with one pod, whose cache it knows.
        "sessionAffinity": "ClientIP",
        "ports": [{"name": "buildkit", "port": options.endpoint_port, "protocol": "TCP"}],
    }
    return Child("service", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def certificate(node: NodeSpec) -> Child | None:
    """The Certificate that cert-manager issues for the port; None where it is not asked for one."""
    issuer = node.options.endpoint_issuer
    if issuer is None:
        return None
    address = node.endpoint
    names = [node.workload, *(f"{node.workload}.{node.namespace}{end}" for end in ("", ".svc", ".svc.cluster.local"))]
    spec: dict[str, Any] = {
        "secretName": _issued(node),
        "usages": ["digital signature", "key encipherment", "server auth"],
        "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"},
        "issuerRef": {"group": "cert-manager.io", "kind": issuer.kind, "name": issuer.name},
    }
    if address and _is_ip(address):
        spec["ipAddresses"] = [address.host]
    elif address and address.host not in names:
        names.append(address.host)
    manifest = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": _metadata(node, _issued(node)),
        "spec": {**spec, "dnsNames": names},
    }
    return Child("certificate", manifest)


def _issued(node: NodeSpec) -> str:
    return f"{node.workload}-endpoint"


def _metadata(node: NodeSpec, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": node.namespace}
    return {**metadata, "labels": dict(node.selector), "annotations": dict(_NO_WAIT)}


def _secret(name: str, items: dict[str, str]) -> dict[str, Any]:
    return {"secret": {"name": name, "items": [{"key": key, "path": path} for key, path in items.items()]}}


def _is_ip(address: Tcp) -> bool:
    try:
        return bool(ipaddress.ip_address(address.host))
    except ValueError:
        return False
