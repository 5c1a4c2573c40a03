"""From a manifest to a Pulumi resource: the one place that knows which class registers which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

__all__ = ["kubernetes_object", "kubernetes_provider"]

_CLASSES: Mapping[str, Callable[[], Any]] = {
    "ConfigMap": lambda: k8s.core.v1.ConfigMap,
    "Deployment": lambda: k8s.apps.v1.Deployment,
    "Namespace": lambda: k8s.core.v1.Namespace,
    "Role": lambda: k8s.rbac.v1.Role,
    "RoleBinding": lambda: k8s.rbac.v1.RoleBinding,
    "ServiceAccount": lambda: k8s.core.v1.ServiceAccount,
}
_PARAMETERS = {"apiVersion": "api_version", "roleRef": "role_ref"}


def kubernetes_object(name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """Register the object of a manifest under `name`. Raises KeyError for a kind that no manifest here has."""
    fields = {_PARAMETERS.get(key, key): value for key, value in manifest.items()}
    resource: pulumi.CustomResource = _CLASSES[manifest["kind"]]()(name, opts=opts, **fields)
    return resource


def kubernetes_provider(
    name: str,
    context: str,
    kubeconfig: pulumi.Input[str] | None,
    identifier: str,
    settings: Mapping[str, pulumi.Input[Any]],
    opts: pulumi.ResourceOptions,
) -> pulumi.ProviderResource:
    """A Kubernetes provider for one cluster.

    Not the SDK's own class: that copies the variable KUBECONFIG into the state, and a path of one machine is a
    change on every other. The plugin reads the variable itself. `identifier` is what makes it another cluster, so
    that renewed credentials replace nothing; a changed ConfigMap is updated, so that readers always find it.
    `settings` are further properties, such as those of the stack's `kubernetes:` config.
    """
    properties: dict[str, pulumi.Input[Any]] = {"enableConfigMapMutable": "true", **settings}
    if context:
        properties["context"] = context
    if kubeconfig is not None:
        properties["kubeconfig"] = kubeconfig
    if identifier:
        properties["clusterIdentifier"] = identifier
    version = pulumi.ResourceOptions(version=metadata.version("pulumi_kubernetes"))
    return pulumi.ProviderResource("kubernetes", name, properties, pulumi.ResourceOptions.merge(version, opts))
