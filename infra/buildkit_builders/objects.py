"""From a manifest to a Pulumi resource: the one place that knows which class registers which kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from buildkit_builders.manifests import Child

__all__ = ["kubernetes_object", "load_kinds"]

_CLASSES: Mapping[str, Callable[[], Any]] = {
    "Certificate": lambda: k8s.apiextensions.CustomResource,
    "ConfigMap": lambda: k8s.core.v1.ConfigMap,
    "CronJob": lambda: k8s.batch.v1.CronJob,
    "Deployment": lambda: k8s.apps.v1.Deployment,
    "HorizontalPodAutoscaler": lambda: k8s.autoscaling.v2.HorizontalPodAutoscaler,
    "Namespace": lambda: k8s.core.v1.Namespace,
    "NetworkPolicy": lambda: k8s.networking.v1.NetworkPolicy,
    "Role": lambda: k8s.rbac.v1.Role,
    "PodDisruptionBudget": lambda: k8s.policy.v1.PodDisruptionBudget,
    "RoleBinding": lambda: k8s.rbac.v1.RoleBinding,
    "Service": lambda: k8s.core.v1.Service,
    "ScaledObject": lambda: k8s.apiextensions.CustomResource,
    "StatefulSet": lambda: k8s.apps.v1.StatefulSet,
    "ServiceAccount": lambda: k8s.core.v1.ServiceAccount,
}
_DELETED = 60.0
"""Seconds that a deletion takes beside its pods' end."""
_PULUMIS = 600.0
"""Seconds that Pulumi waits for a deletion by itself."""
_PARAMETERS = {"apiVersion": "api_version", "roleRef": "role_ref"}


def load_kinds() -> None:
    """Import all that the SDK would import where it is first named, which two threads must not do at once.

    Programs that run inline, several at a time, meet half an import otherwise (importlib.util.LazyLoader before 3.12).
    """
    for part in ("meta.v1", "core.v1"):
        # the types of the arguments are looked up there
        dir(importlib.import_module(f"pulumi_kubernetes.{part}").__dict__)
    for found in _CLASSES.values():
        found()


def kubernetes_object(
    name: str,
    child: Child,
    opts: pulumi.ResourceOptions,
    *,
    depends_on: Sequence[pulumi.Input[pulumi.Resource]] = (),
    moving: bool = False,
    secret: bool = False,
) -> pulumi.CustomResource:
    """Register the object of a component's child; `name` is the component's.

    An object that is replaced is deleted first, since its successor has the same name; one that is `moving` to another
    cluster, or whose name follows from its contents, has its successor first. With `secret` what holds texts of options
    is kept as a secret in the state.
    Raises KeyError for a kind that no manifest here has.
    """
    own = pulumi.ResourceOptions(depends_on=list(depends_on))
    # A namespace takes along what Pulumi would still believe to be in it: its replacement stops at `already exists`.
    if not moving and not child.named_anew and child.manifest["kind"] != "Namespace":
        own.delete_before_replace = True
    if child.ready_within is not None:
        own.custom_timeouts = pulumi.CustomTimeouts(
            create=_go(child.ready_within),
            update=_go(max(child.ready_within, child.updated_within)),
            delete=_go(max(child.gone_within + _DELETED, _PULUMIS)),
        )
    manifest = _with_secrets(child.manifest) if secret else child.manifest
    fields = {_PARAMETERS.get(key, key): value for key, value in manifest.items()}
    resource: pulumi.CustomResource = _CLASSES[child.manifest["kind"]]()(
        f"{name}-{child.role}", opts=pulumi.ResourceOptions.merge(opts, own), **fields
    )
    return resource


def _with_secrets(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose pod template, annotations and data are secrets."""
    copy = dict(manifest)
    for outer, inner in (("metadata", "annotations"), ("spec", "template")):
        part = copy.get(outer)
        if isinstance(part, Mapping) and inner in part:
            copy[outer] = {**part, inner: pulumi.Output.secret(part[inner])}
        elif isinstance(part, pulumi.Output):
            copy[outer] = pulumi.Output.secret(part)
    if "data" in copy:
        copy["data"] = pulumi.Output.secret(copy["data"])
    return copy


def _go(seconds: float) -> str:
    # Written out: Go, which reads it, knows no exponents, and 0 would mean Pulumi's own ten minutes.
    return f"{max(seconds, 0.001):.3f}".rstrip("0").rstrip(".") + "s"
