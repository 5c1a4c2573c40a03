"""What a build asks its cluster for before its builder's output is there; see `buildclient.kube.ahead`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildclient.base.errors import ClientError
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.discovery.where import Where
from buildclient.request.values import BuildRequest
from buildclient.tools import Clusters, routing_key_of

if TYPE_CHECKING:
    from buildclient.kube.ahead import AheadPods
    from buildclient.kube.pod import Pods

__all__ = ["BuildAhead", "name_in_cluster"]


class BuildAhead:
    """The pods of one build's nodes; `end` closes what was opened for nothing."""

    def __init__(self, clusters: Clusters, request: BuildRequest) -> None:
        self._clusters = clusters
        self._key = request.routing_key or routing_key_of(request)
        self._pods: AheadPods | None = None

    def begin(self, name: str) -> None:
        """Asks for what the last build on builder `NAMESPACE/NAME` used. What is wrong is found by the build itself."""
        with contextlib.suppress(ClientError):
            self._pods = self._clusters.begun(name, self._key)

    def pods_for(self, node: NodeOutput, output: BuilderOutput) -> Pods | None:
        """Returns the pods of a node's cluster; None for one at an address. Raises UnreachableError."""
        plain = self._clusters.pods_for(node, output)
        if plain is None or node.address:
            return plain
        if self._pods is None:
            self._pods = self._clusters.ahead(output, self._key)
        return self._pods if self._pods.inner is plain else plain

    async def end(self) -> None:
        """Closes what is not used, and notes what was."""
        if self._pods is not None:
            await self._pods.end()
            self._clusters.keep(self._pods.inner, self._pods.used)


def name_in_cluster(where: Where, environ: Mapping[str, str]) -> str:
    """Returns `NAMESPACE/NAME` of the builder whose output will be read from the cluster; empty for any other."""
    if where.addr or where.builder_file:
        return ""
    if where.from_cluster:
        return where.from_cluster
    if not where.builder and (where.stack or environ.get("BUILDCLIENT_BUILDER")):
        return ""
    name = where.builder or environ.get("BUILDX_BUILDER", "")
    return name if "/" in name else ""
