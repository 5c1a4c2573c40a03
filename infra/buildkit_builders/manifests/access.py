"""The rights of a CI job that builds and does nothing else: read one ConfigMap, see pods, exec into them."""

from __future__ import annotations

from typing import Any

from buildclient.contract.output import config_map_name
from buildkit_builders.spec import BuilderSpec

__all__ = ["client_access"]

_API = "rbac.authorization.k8s.io"


def client_access(spec: BuilderSpec) -> list[dict[str, Any]]:
    """A Role and RoleBinding in each namespace of the builder, and the ServiceAccount unless it is there already.

    Empty if the builder names no ServiceAccount for clients.
    """
    if not spec.client_service_account:
        return []
    elsewhere, _, account = spec.client_service_account.rpartition("/")
    subject = {"kind": "ServiceAccount", "name": account, "namespace": elsewhere or spec.namespace}
    name = f"{spec.name.replace('_', '-')}-client"
    objects: list[dict[str, Any]] = []
    if not elsewhere:
        metadata = {"name": account, "namespace": spec.namespace}
        objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    for namespace in spec.namespaces:
        metadata = {"name": name, "namespace": namespace}
        objects.append(
            {
                "apiVersion": f"{_API}/v1",
                "kind": "Role",
                "metadata": metadata,
                "rules": _rules(spec, namespace),
            }
        )
        objects.append(
            {
                "apiVersion": f"{_API}/v1",
                "kind": "RoleBinding",
                "metadata": dict(metadata),
                "roleRef": {"apiGroup": _API, "kind": "Role", "name": name},
                "subjects": [subject],
            }
        )
    return objects


def _rules(spec: BuilderSpec, namespace: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        # an exec over WebSocket is a GET; Kubernetes 1.35 asks for create besides
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]
    if namespace == spec.namespace:
        own = [config_map_name(spec.name)]
        rules.insert(0, {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": own, "verbs": ["get"]})
    return rules
