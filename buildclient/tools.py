"""What a build works with: the only module that puts the rooms together.

It imports them when they are needed, since a cached build is mostly start-up time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from buildclient.contract.cluster import Cluster
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.progress.events import EventSink
from buildclient.request.outputs import is_layout
from buildclient.request.values import BuildRequest

if TYPE_CHECKING:
    from buildclient.inputs.interfaces import Prepared
    from buildclient.kube.ahead import AheadPods
    from buildclient.kube.lastpods import LastPod
    from buildclient.kube.pods import KubernetesPods
    from buildclient.nodes.interfaces import Node
    from buildclient.nodes.line import Queued
    from buildclient.nodes.nodepods import Waiting
    from buildclient.registry.client import OciRegistry
    from buildclient.results.interfaces import CommitStep
    from buildclient.results.loads import Loads
    from buildclient.session.call import Service

__all__ = ["BuildTools", "Clusters", "routing_key_of"]


class BuildTools:
    """Implements `buildclient.build.Tools` with the real rooms."""

    def __init__(
        self,
        environ: Mapping[str, str],
        nodes_of: Callable[[BuilderOutput, Waiting, Queued], Sequence[Node]],
        sink: EventSink,
    ) -> None:
        """`nodes_of` gives the nodes of a builder, and tells its other arguments of waits for pods and in queues."""
        from buildclient.nodes.waiting import WaitSteps
        from buildclient.registry.docker_config import DockerConfig

        self._environ = environ
        self._nodes_of = nodes_of
        self.docker = DockerConfig(environ)
        self._waiting = WaitSteps(sink)
        self.loads: Loads | None = None
        self._sink = sink
        self._named: tuple[Service, ...] = ()
        self._merged_in: OciRegistry | None = None
        self.soon: asyncio.Future[None] | None = None
        """What `merge_soon` began."""

    async def find_named(self, request: BuildRequest) -> None:
        """Finds what the request's secrets and SSH agents name. Raises UsageError if something of it is not there."""
        from buildclient.session.secrets import Secrets
        from buildclient.session.ssh import SshAgents

        secrets = Secrets(request.secrets, self._environ)
        secrets.check()
        agents = SshAgents(request.ssh, self._environ)
        await agents.load()
        # Served without any, too: their answers are docker buildx's.
        self._named = secrets.service(), agents.service()

    def nodes(self, output: BuilderOutput) -> Sequence[Node]:
        return self._nodes_of(output, self._waiting, self._waiting.queued)

    def routing_key(self, request: BuildRequest) -> str:
        return routing_key_of(request)

    def prepare(self, request: BuildRequest, stopped: Callable[[], bool]) -> AbstractContextManager[Prepared]:
        from buildclient.inputs.context import prepare

        return prepare(request, stopped)

    def commit_steps(self, request: BuildRequest, nodes: int) -> Sequence[CommitStep]:
        from buildclient.results.exports import Exports

        choose = self.loads.export if self.loads else None
        steps: list[CommitStep] = [
            Exports(request.outputs, nodes, choose, allow=request.allow, platforms=request.platforms)
        ]
        if any(map(is_layout, request.outputs)) or any(entry.type == "local" for entry in request.cache_to):
            from buildclient.results.storesteps import store_steps

            steps.extend(store_steps(request, nodes, self._sink))
        return steps

    def services(self, request: BuildRequest) -> Sequence[Service]:
        from buildclient.registry.token import fetch_token
        from buildclient.registry.token_seed import TokenSeeds
        from buildclient.session.auth import auth

        return (auth(self.docker, fetch_token, TokenSeeds(os.path.dirname(self.docker.path))), *self._named)

    def merge_soon(self, request: BuildRequest) -> None:
        self.soon = asyncio.ensure_future(self._log_in(request))

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        from buildclient.registry.merge import index_annotations
        from buildclient.registry.publish import publish_index
        from buildclient.request.annotations import annotation_attrs
        from buildclient.request.attrs import image_names

        attributes = [*(output.attrs for output in request.outputs), annotation_attrs(request.annotations)]
        registry = self._registry(request)
        return await publish_index(registry, image_names(request), responses, index_annotations(attributes))

    def _registry(self, request: BuildRequest) -> OciRegistry:
        """The registries that a build's image is merged in; their connections and logins are kept."""
        if self._merged_in is None:
            from buildclient.registry.client import OciRegistry
            from buildclient.request.attrs import insecure_registries

            listed = self._environ.get("BUILDCLIENT_INSECURE_REGISTRIES", "")
            insecure = [host.strip() for host in listed.split(",") if host.strip()]
            self._merged_in = OciRegistry(self.docker, [*insecure, *insecure_registries(request)])
        return self._merged_in

    async def _log_in(self, request: BuildRequest) -> None:
        from buildclient.base.threads import in_thread

        await in_thread(_load_merge)
        from buildclient.registry.reference import repositories
        from buildclient.request.attrs import image_names

        registry = self._registry(request)
        # What is wrong is found again, and told, by the merge.
        with contextlib.suppress(Exception):
            await asyncio.gather(*(registry.log_in(one) for one in repositories(image_names(request))))


def _load_merge() -> None:
    import urllib3  # noqa: F401

    import buildclient.registry.publish  # noqa: F401


def routing_key_of(request: BuildRequest) -> str:
    """Returns the routing key of a request that names none."""
    from buildclient.inputs.checkout import find_checkout
    from buildclient.inputs.routing import routing_key

    local = os.path.isdir(request.context)
    context = os.path.abspath(request.context) if local else request.context
    checkout = find_checkout(context) if local else None
    return routing_key(context, checkout, request.dockerfile, request.target, request.platforms)


class Clusters:
    """The pods of the clusters that a builder is in; each cluster's credentials are read once."""

    def __init__(self, environ: Mapping[str, str], kube_context: str) -> None:
        """`kube_context` is the context that the user named; empty where none was."""
        self._environ, self._kube_context = environ, kube_context
        self._known: dict[tuple[Cluster, str], KubernetesPods] = {}
        self._home: KubernetesPods | None = None
        self.found: BuilderOutput | None = None
        """The output that was searched for."""

    def pods_for(self, node: NodeOutput, output: BuilderOutput) -> KubernetesPods | None:
        """Returns the pods of a node's cluster; None for one at an address. Raises UnreachableError."""
        if not node.address:
            return self.pods_of(output)
        if not node.address.startswith("kube-pod:"):
            return None
        from buildclient.contract.address import KubePod, parse_address

        address = parse_address(node.address)
        return self._in(output.cluster, address.context if isinstance(address, KubePod) else "")

    def pods_of(self, output: BuilderOutput) -> KubernetesPods:
        """Returns the pods of a builder's cluster. Raises UnreachableError."""
        # An output read from a cluster belongs to that cluster, whatever address it records.
        return self._home if self._home and output is self.found else self._in(output.cluster)

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """Returns the data of a ConfigMap of the cluster that the user named, in which builders are searched for."""
        self._home = self._in(Cluster())
        return await self._home.config_map(namespace, name)

    def ahead(self, output: BuilderOutput, key: str) -> AheadPods:
        """Returns the pods of a builder for one build of routing key `key`. Raises UnreachableError."""
        return self._ahead(self.pods_of(output), output.namespace, output.name, key)

    def begun(self, name: str, key: str) -> AheadPods:
        """As `ahead`, before the output of builder `NAMESPACE/NAME` is read: asks for what its last such build used."""
        namespace, _, builder = name.partition("/")
        ahead = self._ahead(self._in(Cluster()), namespace, builder, key)
        ahead.begin()
        return ahead

    def keep(self, pods: KubernetesPods, used: Sequence[LastPod]) -> None:
        """Keeps tunnels into these pods, and a watch of their node's, for the next command, where that is asked for."""
        if not self._environ.get("BUILDCLIENT_KEEP"):
            return
        from buildclient.keep.client import KeptPods
        from buildclient.keep.rules import keep_seconds
        from buildclient.keep.wire import Get, Tunnel
        from buildclient.kube.pods import Wanted

        if isinstance(pods, KeptPods):
            tunnels = [Tunnel(one.namespace, one.pod, one.container) for one in used]
            wanted = [Wanted(one.namespace, dict(one.selector)) for one in used]
            lists = [Get(one.path, tuple(one.query.items()), watched=True) for one in wanted]
            pods.keeper.start(keep_seconds(self._environ), tunnels, lists)

    async def end_kept(self, output: BuilderOutput) -> None:
        """Ends the process that keeps connections to a builder's cluster, if there is one."""
        if all(node.address for node in output.nodes):
            return
        from buildclient.keep.client import Keeper
        from buildclient.kube.kubeconfig import load_kubeconfig

        access = self.pods_of(output).api.access
        await Keeper(access, load_kubeconfig(self._environ).files, self._environ).end()

    def _ahead(self, pods: KubernetesPods, namespace: str, name: str, key: str) -> AheadPods:
        from buildclient.kube.ahead import AheadPods
        from buildclient.kube.lastpods import LastPods

        return AheadPods(pods, LastPods.of(self._environ, pods.api.access, namespace, name), key)

    def _in(self, cluster: Cluster, kube_context: str = "") -> KubernetesPods:
        """`kube_context` is the context that an address names."""
        key = cluster, kube_context
        if key not in self._known:
            from buildclient.discovery.cluster import choose_access, in_cluster
            from buildclient.kube.api import KubeApi
            from buildclient.kube.kubeconfig import load_kubeconfig
            from buildclient.kube.pods import KubernetesPods

            config = load_kubeconfig(self._environ)
            inside = in_cluster(self._environ)
            access = choose_access(config, cluster, kube_context or self._kube_context, inside)
            if self._environ.get("BUILDCLIENT_KEEP"):
                from buildclient.keep.client import KeptPods
                from buildclient.keep.rules import keep_seconds

                if keep_seconds(self._environ):
                    self._known[key] = KeptPods(access, config.files, self._environ)
                    return self._known[key]
            self._known[key] = KubernetesPods(
                KubeApi(access, self._environ),
                machines=self._environ.get("BUILDCLIENT_READ_NODES", "") not in ("", "0", "false"),
            )
        return self._known[key]
