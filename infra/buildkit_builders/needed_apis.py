"""What a builder's options need of the cluster, asked in a preview: cert-manager, KEDA, the metrics API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import ApiError, KubeApi
from buildkit_builders.spec import NodeSpec

__all__ = ["missing_api_lines"]

_NOT_FOUND = 404


class _Need(NamedTuple):
    """An API that some nodes need."""

    path: str
    wanted: Callable[[NodeSpec], bool]
    line: str
    """What is said where the cluster does not have it; `{}` for the nodes."""


_NEEDS = (
    _Need(
        "/apis/cert-manager.io/v1",
        lambda node: node.options.endpoint_issuer is not None,
        "the cluster has no cert-manager (cert-manager.io/v1), which endpoint.issuer of {} needs: install it first, or "
        "give endpoint.secret",
    ),
    _Need(
        "/apis/keda.sh/v1alpha1",
        lambda node: node.options.is_autoscaled and bool(node.options.autoscale_keda),
        "the cluster has no KEDA (keda.sh/v1alpha1), which autoscale.keda of {} needs: install it first",
    ),
    _Need(
        "/apis/metrics.k8s.io",
        lambda node: node.options.is_autoscaled and _uses_metrics(node),
        "the cluster has no metrics API (metrics.k8s.io): install metrics-server, or nothing scales {} by usage",
    ),
)


def _uses_metrics(node: NodeSpec) -> bool:
    options = node.options
    shares = options.autoscale_cpu or options.autoscale_memory
    return bool(shares or not (options.autoscale_metrics or options.autoscale_keda))


def missing_api_lines(api: KubeApi, nodes: Sequence[NodeSpec]) -> Iterator[str]:
    """Yields a line for each API that nodes need and the cluster does not have, by a blocking request each.

    What cannot be asked is taken to be there.
    """
    for need in _NEEDS:
        names = [node.name for node in nodes if need.wanted(node)]
        if names and _is_missing(api, need.path):
            yield need.line.format(", ".join(names))


def _is_missing(api: KubeApi, path: str) -> bool:
    try:
        api.read(path, {}, "cannot read the cluster's APIs")
    except ApiError as error:
        return error.status == _NOT_FOUND
    except UnreachableError:
        return False
    return False
