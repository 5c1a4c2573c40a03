"""The minimal permissions to build with a builder: read one ConfigMap, list pods, exec into them."""

from __future__ import annotations

from typing import Any

from buildclient.contract.output import config_map_name
from buildkit_builders.manifests.child import Child
from buildkit_builders.spec import BuilderSpec

__all__ = ["client_access"]

_API = "rbac.authorization.k8s.io"


def client_access(spec: BuilderSpec) -> tuple[Child, ...]:
    """The ServiceAccount, unless it is in a namespace of its own, and a Role and RoleBinding in each of the builder's.

    Empty if the builder names no ServiceAccount for clients.
    """
    if not spec.client_service_account:
        return ()
    elsewhere, _, account = spec.client_service_account.rpartition("/")
    subject = {"kind": "ServiceAccount", "name": account, "namespace": elsewhere or spec.namespace}
    name = f"{spec.name.replace('_', '-')}-client"
    children: list[Child] = []
    if not elsewhere:
        metadata = {"name": account, "namespace": spec.namespace}
        children.append(_child(spec, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
    for namespace in spec.namespaces:
        metadata = {"name": name, "namespace": namespace}
        role = {"apiVersion": f"{_API}/v1", "kind": "Role", "metadata": metadata, "rules": _rules(spec, namespace)}
        binding = {
            "apiVersion": f"{_API}/v1",
            "kind": "RoleBinding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": _API, "kind": "Role", "name": name},
            "subjects": [subject],
        }
        children += [_child(spec, role), _child(spec, binding)]
    return tuple(children)


def _child(spec: BuilderSpec, manifest: dict[str, Any]) -> Child:
    namespace = manifest["metadata"]["namespace"]
    elsewhere = "" if namespace == spec.namespace else f"-{namespace}"
    return Child(f"client-{manifest['kind'].lower()}{elsewhere}", manifest)


def _rules(spec: BuilderSpec, namespace: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        # An exec over WebSocket is a GET request; since Kubernetes 1.35 it needs create as well.
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]
    if namespace == spec.namespace:
        own = [config_map_name(spec.name)]
        rules.insert(0, {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": own, "verbs": ["get"]})
    return rules
