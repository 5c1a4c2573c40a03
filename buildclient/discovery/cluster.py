"""Which cluster a builder is in, and the way to it: a context of the kubeconfig, or a pod's own service account."""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.contract.cluster import Cluster, same_cluster, same_server
from buildclient.kube.identity import cluster_of
from buildclient.kube.kubeconfig import Access, Kubeconfig, Material

__all__ = ["choose_access", "cluster_at", "current_access", "in_cluster"]

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def in_cluster(environ: Mapping[str, str], folder: str = _ACCOUNT) -> Access | None:
    """A pod's own cluster by its service account, or None outside of a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    token, ca = os.path.join(folder, "token"), os.path.join(folder, "ca.crt")
    if not host or not os.path.exists(token):
        return None
    try:
        with open(os.path.join(folder, "namespace")) as source:
            namespace = source.read().strip()
    except OSError:
        namespace = "default"
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        context="in-cluster",
        namespace=namespace,
        ca=Material(file=ca) if os.path.exists(ca) else Material(),
        token_file=token,
    )


def choose_access(config: Kubeconfig, recorded: Cluster, context: str, inside: Access | None) -> Access:
    """The way to the cluster that a builder's output means.

    First that applies: the context the user names; the recorded context, the current one and the others, if it leads
    to the recorded cluster (`same_cluster`); one with the recorded server, though its certificate authority is
    another; the pod's own cluster; where the output records nothing, the current context. Raises ConfigurationError,
    in one line that says what was looked for.
    """
    if context:
        return config.access(context)
    if not recorded.server and not recorded.context:
        return current_access(config, inside)
    if recorded.context in config.contexts and not (recorded.server or recorded.ca):
        return config.access(recorded.context)
    names = sorted(config.contexts, key=lambda name: (name != recorded.context, name != config.current, name))
    found = {name: cluster_at(config, name) for name in names}
    for same in (_same, lambda one, other: same_server(one.server, other.server)):
        for name, cluster in found.items():
            if same(cluster, recorded):
                return config.access(name)
    if inside:
        return inside
    searched = ", ".join(config.files) or "no kubeconfig found"
    what = f"server {recorded.server}" if recorded.server else f'context "{recorded.context}"'
    raise ConfigurationError(
        f"the builder is in the cluster with {what}, to which no context leads ({searched})",
        hint="name one with --context",
    )


def cluster_at(config: Kubeconfig, context: str) -> Cluster:
    """What a context says of its cluster; empty where it leads nowhere."""
    try:
        return cluster_of(config.access(context))
    except UnreachableError:
        return Cluster(context, config.server(context))


def _same(one: Cluster, other: Cluster) -> bool:
    return same_cluster(one, other) is True


def current_access(config: Kubeconfig, inside: Access | None) -> Access:
    """The current context, else the pod's own cluster. Raises ConfigurationError."""
    if config.current:
        return config.access(config.current)
    if inside:
        return inside
    if not config.files:
        raise ConfigurationError("no cluster: there is no kubeconfig", hint="set KUBECONFIG or make ~/.kube/config")
    raise ConfigurationError(
        f"no cluster: {', '.join(config.files)} has no current context", hint="name one with --context"
    )
