"""Asks the cluster why pods did not become ready after a failed update, which Pulumi does not report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.kube.api import KubeApi
from buildclient.kube.reasons import read_reasons
from buildkit_builders.kubeconfig import access_to

__all__ = ["Failed", "failed_workload", "reasons_of"]

_KINDS = {"kubernetes:apps/v1:Deployment": "Deployment", "kubernetes:apps/v1:StatefulSet": "StatefulSet"}


class Failed(NamedTuple):
    """A workload whose step failed, and the URN of the provider that it went through."""

    kind: str
    namespace: str
    name: str
    provider: str


def failed_workload(type_: str, inputs: Mapping[str, Any], provider: str) -> Failed | None:
    """The workload of a failed step; None for resources of other kinds."""
    metadata = inputs.get("metadata")
    if type_ not in _KINDS or not isinstance(metadata, Mapping):
        return None
    # A provider's reference is its URN and its id.
    return Failed(
        _KINDS[type_], str(metadata.get("namespace")), str(metadata.get("name")), provider.rpartition("::")[0]
    )


def reasons_of(
    failed: Sequence[Failed], providers: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> list[str]:
    """A line for each workload of which the cluster says something; `providers` are providers' inputs by URN."""
    lines = []
    for one in dict.fromkeys(failed):
        inputs = providers.get(one.provider, {})
        kubeconfig, context = inputs.get("kubeconfig") or "", inputs.get("context") or ""
        if not (isinstance(kubeconfig, str) and isinstance(context, str)):
            continue
        access = access_to(kubeconfig, context, environ)
        reasons = read_reasons(KubeApi(access, environ), one.namespace, one.kind, one.name) if access else ()
        if reasons:
            lines.append(f"{one.kind} {one.namespace}/{one.name}: {'; '.join(reasons)}")
    return lines
