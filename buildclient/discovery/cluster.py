"""Chooses how a builder's cluster is accessed: a context of the kubeconfig, or a pod's own service account."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.base.files import read_bounded
from buildclient.contract.cluster import Cluster, same_cluster, same_server
from buildclient.kube.identity import cluster_of
from buildclient.kube.kubeconfig import Access, Kubeconfig, Material
from buildclient.net.proxy import redacted

__all__ = ["choose_access", "cluster_at", "current_access", "in_cluster"]

_LOG = logging.getLogger("buildclient.kube")
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_LONGEST_NAME = 253
"""Bytes of a namespace's name, generously."""


def in_cluster(environ: Mapping[str, str], folder: str = _ACCOUNT) -> Access | None:
    """A pod's own cluster by its service account, or None outside of a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    token, ca = os.path.join(folder, "token"), os.path.join(folder, "ca.crt")
    if not host or not os.path.exists(token):
        return None
    host = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{host}:{port}",
        context="in-cluster",
        ca=Material(file=ca) if os.path.exists(ca) else Material(),
        token_file=token,
        namespace=_own_namespace(os.path.join(folder, "namespace")),
    )


def _own_namespace(file: str) -> str:
    try:
        return read_bounded(file, _LONGEST_NAME).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def choose_access(config: Kubeconfig, recorded: Cluster, kube_context: str, inside: Access | None) -> Access:
    """Access to the cluster that a builder's output records.

    First that applies: the context the user names; the recorded context, the current one and the others, if it leads
    to the recorded cluster (`same_cluster`); one with the recorded server, though its certificate authority is
    another; the pod's own cluster; where the output records nothing, the current context. Raises ConfigurationError,
    in one line that says what was looked for.
    """
    if kube_context:
        return _taken(config.access(kube_context), "named with --context")
    if not recorded.server and not recorded.context:
        return current_access(config, inside)
    if recorded.context in config.contexts and not (recorded.server or recorded.ca):
        return _taken(config.access(recorded.context), "recorded in the builder output")
    names = sorted(config.contexts, key=lambda name: (name != recorded.context, name != config.current, name))
    found = {name: cluster_at(config, name) for name in names}
    for same, why in (
        (_same, "it leads to the recorded cluster"),
        (lambda one, other: same_server(one.server, other.server), "it has the recorded server"),
    ):
        for name, cluster in found.items():
            if same(cluster, recorded):
                return _taken(config.access(name), why)
    if inside:
        return _taken(inside, "the pod's own; no context has the recorded server")
    searched = ", ".join(config.files) or "no kubeconfig found"
    what = f"server {recorded.server}" if recorded.server else f'context "{recorded.context}"'
    raise ConfigurationError(
        f"the builder is in the cluster with {what}, to which no context leads ({searched})",
        hint="name one with --context",
    )


def cluster_at(config: Kubeconfig, kube_context: str) -> Cluster:
    """The cluster of a context; empty for one without a usable cluster."""
    try:
        return cluster_of(config.access(kube_context))
    except UnreachableError:
        return Cluster(kube_context, config.server(kube_context))


def _same(one: Cluster, other: Cluster) -> bool:
    return same_cluster(one, other) is True


def current_access(config: Kubeconfig, inside: Access | None) -> Access:
    """The current context, else the pod's own cluster. Raises ConfigurationError."""
    if config.current:
        return _taken(config.access(config.current), "the current context")
    if inside:
        return _taken(inside, "the pod's own; there is no current context")
    if not config.files:
        raise ConfigurationError("no cluster: there is no kubeconfig", hint="set KUBECONFIG or make ~/.kube/config")
    raise ConfigurationError(
        f"no cluster: {', '.join(config.files)} has no current context", hint="name one with --context"
    )


def _taken(access: Access, why: str) -> Access:
    _LOG.debug("context %s (%s): %s", access.context, redacted(access.server), why)
    return access
