"""Checks the cluster before an operation that does not run the program.

Pulumi's `destroy` and `refresh` use the state alone, and act on whatever cluster its providers lead to on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buildclient.contract.cluster import Cluster, same_cluster
from buildclient.kube.identity import cluster_of, kube_system_uid
from buildclient.kube.kubeconfig import Access
from buildkit_builders.kubeconfig import access_to
from buildkit_builders.recorded import Recorded, recorded_in
from buildkit_builders.results import StackError

__all__ = ["check_clusters", "clusters_in"]

_SECRET = "4dabf18193072939515e22adb298388d"
"""Pulumi's mark of a secret in a state."""


class Found(NamedTuple):
    """A builder of a state, and what its provider leads to here."""

    name: str
    recorded: Recorded


def clusters_in(deployment: Mapping[str, Any] | None) -> list[Found]:
    """The builders of an exported stack that have a provider of their own."""
    return [Found(name, recorded) for name, recorded in recorded_in(_resources(deployment or {}))]


def check_clusters(stack: str, deployment: Mapping[str, Any] | None, environ: Mapping[str, str]) -> bool:
    """Raises StackError if a builder of the stack is in another cluster than its provider leads to here.

    Returns whether a provider's context is not known here although the current one leads to its cluster: then the
    program has to be run, since it binds the provider anew. A builder whose state tells nothing of its cluster passes.
    """
    rebind = False
    for name, recorded in clusters_in(deployment):
        there = recorded.cluster
        if recorded.own_kubeconfig or not (there.server or there.uid or there.ca):
            continue
        access = access_to(recorded.kubeconfig, recorded.context, environ)
        unknown = access is None and bool(recorded.context)
        if unknown:
            access = access_to(recorded.kubeconfig, "", environ)
        if access is None:
            continue  # Pulumi says what is wrong with the kubeconfig.
        here = cluster_of(access)
        if not _same(there, here, access, environ):
            raise StackError(_other(stack, name, recorded, here, unknown))
        rebind = rebind or unknown
    return rebind


def _same(there: Cluster, here: Cluster, access: Access, environ: Mapping[str, str]) -> bool:
    same = same_cluster(there, here)
    if same is None and there.uid:
        same = same_cluster(there, here._replace(uid=kube_system_uid(access, environ)))
    return same is True


def _other(stack: str, name: str, recorded: Recorded, here: Cluster, unknown: bool) -> str:
    by = f' by context "{recorded.context}", which is not in this kubeconfig' if unknown else ""
    leads = f'context "{here.context}"' if here.context else "the environment"
    return (
        f"stack {stack}: builder {name} is in cluster {recorded.cluster}{by}, and {leads} leads to "
        f"{here.server}; nothing was changed\n  choose that cluster with KUBECONFIG"
    )


def _resources(deployment: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for resource in deployment.get("resources") or ():
        if isinstance(resource, Mapping) and not resource.get("delete"):
            outputs = resource.get("outputs") or resource.get("inputs") or {}
            yield str(resource.get("urn")), str(resource.get("type")), {k: _plain(v) for k, v in outputs.items()}


def _plain(value: Any) -> Any:
    """A secret is a mapping here, so that it is taken for contents."""
    return {"secret": True} if isinstance(value, Mapping) and _SECRET in value else value
