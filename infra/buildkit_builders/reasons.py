"""Asks the cluster why pods did not become ready after a failed update, which Pulumi does not report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildclient.kube.reasons import read_reasons
from buildkit_builders.apis import api_by
from buildkit_builders.recorded import WORKLOAD_TYPES, kind_of

__all__ = ["Failed", "failed_workload", "reasons_of"]


class Failed(NamedTuple):
    """A workload whose step failed, and the URN of the provider that it went through."""

    kind: str
    namespace: str
    name: str
    provider: str


def failed_workload(type_: str, inputs: Mapping[str, Any], provider: str) -> Failed | None:
    """The workload of a failed step; None for resources of other kinds."""
    metadata = inputs.get("metadata")
    if type_ not in WORKLOAD_TYPES or not isinstance(metadata, Mapping):
        return None
    # A provider's reference is its URN and its id.
    return Failed(
        kind_of(type_), str(metadata.get("namespace")), str(metadata.get("name")), provider.rpartition("::")[0]
    )


def reasons_of(
    failed: Sequence[Failed], providers: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> list[str]:
    """A line for each workload of which the cluster says something; `providers` are providers' inputs by URN."""
    api_of, lines = api_by(providers, environ), []
    for one in dict.fromkeys(failed):
        api = api_of(one.provider)
        if api and (reasons := read_reasons(api, one.namespace, one.kind, one.name)):
            lines.append(f"{one.kind} {one.namespace}/{one.name}: {'; '.join(reasons)}")
    return lines
