"""Asks a cluster for its identity: the uid of its namespace kube-system."""

from __future__ import annotations

from collections.abc import Mapping

from buildclient.base.errors import UnreachableError
from buildclient.contract.cluster import Cluster, ca_fingerprint
from buildclient.kube.kubeconfig import Access

__all__ = ["cluster_of", "kube_system_uid"]


def kube_system_uid(access: Access, environ: Mapping[str, str]) -> str:
    """Returns the uid, by one blocking request; empty if that is forbidden or the cluster cannot be reached."""
    from buildclient.kube.api import KubeApi

    try:
        found = KubeApi(access, environ).read("/api/v1/namespaces/kube-system", {}, "cannot read namespace kube-system")
    except UnreachableError:
        return ""
    metadata = found.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else ""
    return uid if isinstance(uid, str) else ""


def cluster_of(access: Access) -> Cluster:
    """Returns what the kubeconfig tells of a cluster; omits a certificate authority whose file cannot be read."""
    try:
        ca = ca_fingerprint(access.ca.read())
    except UnreachableError:
        ca = ""
    return Cluster(access.context, access.server, ca=ca)
