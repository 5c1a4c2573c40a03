"""Which cluster a builder is in, and the way to it: a context of the kubeconfig, or a pod's own service account."""

from __future__ import annotations

import os
from collections.abc import Mapping

from buildclient.base.errors import UnreachableError
from buildclient.contract.output import Cluster
from buildclient.kube.kubeconfig import Access, Kubeconfig, Material

__all__ = ["choose_access", "current_access", "in_cluster"]

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_DEFAULT_PORTS = {"https": "443", "http": "80"}


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

    First that applies: the context the user names; the recorded context if its server is the recorded one; any
    context with that server; the pod's own cluster; where the output records nothing, the current context. Raises
    UnreachableError, in one line that says what was looked for.
    """
    if context:
        return config.access(context)
    if not recorded.server and not recorded.context:
        return current_access(config, inside)
    wanted = _same(recorded.server)
    if recorded.context in config.contexts and (not wanted or _same(config.server(recorded.context)) == wanted):
        return config.access(recorded.context)
    for name in sorted(config.contexts, key=lambda name: (name != config.current, name)):
        if wanted and _same(config.server(name)) == wanted:
            return config.access(name)
    if inside:
        return inside
    searched = ", ".join(config.files) or "no kubeconfig found"
    what = f"server {recorded.server}" if recorded.server else f'context "{recorded.context}"'
    raise UnreachableError(
        f"the builder is in the cluster with {what}, which no context has ({searched})",
        hint="name one with --context",
    )


def current_access(config: Kubeconfig, inside: Access | None) -> Access:
    """The current context, else the pod's own cluster. Raises UnreachableError."""
    if config.current:
        return config.access(config.current)
    if inside:
        return inside
    if not config.files:
        raise UnreachableError("no cluster: there is no kubeconfig", hint="set KUBECONFIG or make ~/.kube/config")
    raise UnreachableError(
        f"no cluster: {', '.join(config.files)} has no current context", hint="name one with --context"
    )


def _same(server: str) -> str:
    """A server's address in a form that is the same for the same server."""
    scheme, _, rest = server.lower().rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{_DEFAULT_PORTS.get(scheme, '')}"
    return f"{scheme}://{host}{slash}{path}" if rest else ""
