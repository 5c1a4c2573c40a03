"""Decides which cluster a builder goes to, and whether that is its recorded cluster. Pure, without I/O.

The first that applies: a Kubernetes provider in the component's options; one that its parent has; `context` and
`kubeconfig` of the args; `kubernetes:context` and `kubernetes:kubeconfig` of the stack's config; KUBECONFIG or
~/.kube/config with its current context; a pod's own cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from buildclient.contract.cluster import Cluster, same_cluster
from buildkit_builders.recorded import Recorded

__all__ = ["MOVE", "UPSERT", "Destination", "Target", "WrongCluster", "decide"]

MOVE = "BUILDKIT_BUILDERS_MOVE"
"""The variable that lets a builder go to another cluster than the one it is recorded in: `builders move` sets it."""
UPSERT = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
"""A setting of the Kubernetes provider: objects that are there are taken, not refused (pulumi-kubernetes 4.29)."""


class Target(NamedTuple):
    """The cluster that a kubeconfig leads to; empty texts where it does not say."""

    context: str = ""
    server: str = ""
    namespace: str = "default"
    ca: str = ""
    """The fingerprint of its certificate authority."""


class Destination(NamedTuple):
    """Where a builder's objects go."""

    cluster: Cluster
    """What clients are told."""
    identifier: str
    """The provider's `clusterIdentifier`."""
    context: str
    """The context that the provider is bound to, so that it deletes there or nowhere; empty where none is known."""
    moving: bool = False
    """Whether the builder is in another cluster so far."""

    def __str__(self) -> str:
        by = f" by context {self.context}" if self.context else ""
        return f"{self.cluster.server or 'not known'}{by}"


class WrongCluster(Exception):
    """The environment leads to another cluster than the stack's; the message names both and says what to do."""


def decide(
    recorded: Recorded | None,
    target: Target,
    *,
    named: str,
    same_context: Callable[[str], bool],
    uid: Callable[[], str],
    moving: bool = False,
) -> Destination:
    """The destination of a builder whose environment leads to `target`.

    `named` is the context that the config names, if any; `same_context` says whether a context of the kubeconfig at
    hand leads to the target's cluster; `uid` reads the target's uid (empty where it may not be read), and is called
    only if it is needed. A builder stays where it is recorded: identifier, server and context are kept as long as
    they lead to the same cluster. Raises WrongCluster, unless the config names another context or `moving`.
    """
    here = Cluster(named, target.server, "", target.ca)
    if recorded is None or not (recorded.cluster.server or recorded.cluster.uid or recorded.cluster.ca):
        found = here._replace(uid=uid())
        return Destination(
            found, (recorded.identifier if recorded else "") or _identifier(found, target), target.context
        )
    there = recorded.cluster
    same = same_cluster(there, here)
    if same is None or not there.uid:
        here = here._replace(uid=uid())
        same = same_cluster(there, here) if same is None else same
    if same:
        kept = there._replace(context=named, uid=there.uid or here.uid, ca=there.ca or here.ca)
        context = recorded.context if not named and recorded.context and same_context(recorded.context) else ""
        return Destination(kept, recorded.identifier, context or target.context)
    renamed = bool(named) and bool(recorded.context) and named != recorded.context
    if not (moving or renamed):
        raise WrongCluster(_wrong(there, recorded.context, here, target.context, known=same is not None))
    if not (recorded.context or recorded.own_kubeconfig):
        raise WrongCluster(
            f"the state does not say by which context {there} is reached, so nothing could be deleted there; "
            "run `builders up` against it once, then move"
        )
    here = here if here.uid else here._replace(uid=uid())
    return Destination(here, _identifier(here, target), target.context, moving=True)


def _identifier(cluster: Cluster, target: Target) -> str:
    return cluster.uid or cluster.context or target.server


def _wrong(there: Cluster, old: str, here: Cluster, new: str, *, known: bool) -> str:
    by = f' by context "{old}"' if old else ""
    leads = f'context "{new}"' if new else "the environment"
    doubt = (
        "" if known else "; whether they are one cluster is not known, since its namespace kube-system is not readable"
    )
    return (
        f"the builder is in cluster {there}{by}, and {leads} leads to {here}{doubt}; nothing was changed\n"
        "  choose that cluster (KUBECONFIG, builder:context), or move the builder: builders move"
    )
