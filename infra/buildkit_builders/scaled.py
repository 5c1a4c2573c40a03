"""Whether an autoscaler sets the replicas of a workload.

Whoever changes the subresource `scale` owns `spec.replicas` from then on. An autoscaler's record stays after the
autoscaler is gone, so the HorizontalPodAutoscalers are asked for too (KEDA makes one for each ScaledObject).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildkit_builders.drift.managed import entries_of, owner_of

__all__ = ["is_autoscaled", "object_path", "read_autoscaled"]

_MAX_AUTOSCALERS = 1000


def read_autoscaled(api: KubeApi, kind: str, namespace: str, name: str) -> bool:
    """Whether an autoscaler sets the replicas of a workload in the cluster; False where that cannot be read. Blocks."""
    try:
        live = api.read(object_path("apps/v1", kind, namespace, name), {}, f"cannot read {kind} {namespace}/{name}")
    except UnreachableError:
        return False
    return is_autoscaled(api, kind, namespace, name, live)


def is_autoscaled(api: KubeApi | None, kind: str, namespace: str, name: str, live: Mapping[str, Any]) -> bool:
    """Whether an autoscaler sets the replicas of a workload that was read already. Blocks.

    The workload's own record counts where the autoscalers cannot be listed.
    """
    owner = owner_of(entries_of(live), ("spec", "replicas"))
    if owner is None or not owner.is_autoscaler:
        return False
    if api is None:
        return True
    path = f"/apis/autoscaling/v2/namespaces/{quote(namespace, safe='')}/horizontalpodautoscalers"
    try:
        listed = api.read(path, {"limit": str(_MAX_AUTOSCALERS)}, "cannot list autoscalers").get("items")
    except UnreachableError:
        return True
    return any(_target(one) == (kind, name) for one in (listed if isinstance(listed, list) else ()))


def _target(autoscaler: Any) -> tuple[Any, Any]:
    spec = autoscaler.get("spec") if isinstance(autoscaler, Mapping) else None
    target = spec.get("scaleTargetRef") if isinstance(spec, Mapping) else None
    return (target.get("kind"), target.get("name")) if isinstance(target, Mapping) else (None, None)


def object_path(api_version: str, kind: str, namespace: str, name: str) -> str:
    """An object's path in the API, by the rule that every kind of Kubernetes' own follows."""
    group = "/api" if "/" not in api_version else "/apis"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    lower = kind.lower()
    plural = f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}es" if lower.endswith("s") else f"{lower}s"
    return f"{group}/{api_version}{place}/{plural}/{quote(name, safe='')}"
