"""From a manifest to a Pulumi resource: the one place that knows which class registers which kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from buildkit_builders.manifests import Child

__all__ = ["kubernetes_object"]

_CLASSES: Mapping[str, Callable[[], Any]] = {
    "ConfigMap": lambda: k8s.core.v1.ConfigMap,
    "Deployment": lambda: k8s.apps.v1.Deployment,
    "Namespace": lambda: k8s.core.v1.Namespace,
    "Role": lambda: k8s.rbac.v1.Role,
    "RoleBinding": lambda: k8s.rbac.v1.RoleBinding,
    "StatefulSet": lambda: k8s.apps.v1.StatefulSet,
    "ServiceAccount": lambda: k8s.core.v1.ServiceAccount,
}
_PARAMETERS = {"apiVersion": "api_version", "roleRef": "role_ref"}


def kubernetes_object(
    name: str,
    child: Child,
    opts: pulumi.ResourceOptions,
    *,
    depends_on: Sequence[pulumi.Resource] = (),
    moving: bool = False,
) -> pulumi.CustomResource:
    """Register the object of a component's child; `name` is the component's.

    An object that is replaced is deleted first, since its successor has the same name; one that is `moving` to another
    cluster, or whose name follows from its contents, has its successor first.
    Raises KeyError for a kind that no manifest here has.
    """
    own = pulumi.ResourceOptions(depends_on=list(depends_on))
    # A namespace takes along what Pulumi would still believe to be in it: its replacement stops at `already exists`.
    if not moving and not child.named_anew and child.manifest["kind"] != "Namespace":
        own.delete_before_replace = True
    if child.ready_within is not None:
        # written out: Go, which reads it, knows no exponents, and 0 would mean Pulumi's own ten minutes
        timeout = f"{max(child.ready_within, 0.001):.3f}".rstrip("0").rstrip(".") + "s"
        own.custom_timeouts = pulumi.CustomTimeouts(create=timeout, update=timeout)
    fields = {_PARAMETERS.get(key, key): value for key, value in child.manifest.items()}
    resource: pulumi.CustomResource = _CLASSES[child.manifest["kind"]]()(
        f"{name}-{child.role}", opts=pulumi.ResourceOptions.merge(opts, own), **fields
    )
    return resource
