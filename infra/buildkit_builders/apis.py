"""The APIs of the clusters that a stack's Kubernetes providers lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from buildclient.kube.api import KubeApi
from buildkit_builders.kubeconfig import access_to

__all__ = ["ApiOf", "api_by"]

ApiOf = Callable[[str], KubeApi | None]
"""The API of the cluster that the provider of a URN leads to; None where that is not known."""


def api_by(providers: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]) -> ApiOf:
    """The APIs that Kubernetes providers lead to, by their inputs; a masked kubeconfig leads nowhere."""

    def api_of(urn: str) -> KubeApi | None:
        inputs = providers.get(urn, {})
        kubeconfig, context = inputs.get("kubeconfig") or "", inputs.get("context") or ""
        if not (isinstance(kubeconfig, str) and isinstance(context, str)):
            return None
        access = access_to(kubeconfig, context, environ)
        return KubeApi(access, environ) if access else None

    return api_of
