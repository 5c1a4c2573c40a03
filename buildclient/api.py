"""The Python API: find a builder, build with it, inspect it.

    from buildclient.api import Client, Where, build_request

    request = build_request(
        "app", tags=["registry.example/app:1"], platforms=["linux/amd64", "linux/arm64"], push=True
    )
    print(Client(Where(stack="dev")).build(request).digest)

Most calls have a blocking form (`build`) and an asynchronous one (`build_async`). They raise subclasses of ClientError,
whose text is meant for users. This is the only module that puts the rooms together; it imports them when they are
needed, since a cached build is mostly start-up time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from buildclient.base.errors import (
    BuildFailed,
    Cancelled,
    ClientError,
    InternalFailure,
    InvalidBuild,
    ResourceExhausted,
    UnreachableError,
    UsageError,
)
from buildclient.build import build
from buildclient.contract.cluster import Cluster
from buildclient.contract.output import BuilderOutput, NodeOutput
from buildclient.contract.platform import Platform, PlatformError, parse_platforms
from buildclient.kube.pod import Pod
from buildclient.progress.events import Event, EventSink, Log, SolveStarted, Vertex, VertexStatus, Warned, of_build
from buildclient.registry.reference import ImageTag
from buildclient.request.annotations import Annotation, parse_annotations
from buildclient.request.attrs import with_proxies
from buildclient.request.caches import with_s3_credentials
from buildclient.request.checks import check_request
from buildclient.request.destinations import ToContainerd, ToEngine, ToFile, ToFolder, ToStdout
from buildclient.request.flagtext import parse_tags
from buildclient.request.limits import HostEntry, Ulimit, parse_hosts, parse_ulimits
from buildclient.request.make import build_request
from buildclient.request.outputs import is_layout, loads, parse_outputs, with_default_load
from buildclient.request.secrets import SecretEnv, SecretFile
from buildclient.request.solve import CacheEntry
from buildclient.request.ssh import SshForward
from buildclient.request.values import BuildRequest, BuildResult, NodeResult, Output

if TYPE_CHECKING:
    from buildclient.base.streams import Connection
    from buildclient.inputs.interfaces import Prepared
    from buildclient.kube.pods import KubernetesPods
    from buildclient.nodes.interfaces import Node
    from buildclient.nodes.node import NodeClient
    from buildclient.nodes.pool import ConnectionPool
    from buildclient.nodes.views import BuilderView
    from buildclient.results.interfaces import CommitStep
    from buildclient.results.loads import Loads
    from buildclient.results.subrequests import (
        BuildArgument,
        BuildTarget,
        CheckError,
        CheckResult,
        CheckWarning,
        MountedSecret,
        Outline,
    )
    from buildclient.session.call import Service

__all__ = [
    "Annotation",
    "BuildArgument",
    "BuildFailed",
    "BuildRequest",
    "BuildResult",
    "BuildTarget",
    "BuilderOutput",
    "CacheEntry",
    "Cancelled",
    "CheckError",
    "CheckResult",
    "CheckWarning",
    "Client",
    "ClientError",
    "Event",
    "HostEntry",
    "ImageTag",
    "InternalFailure",
    "InvalidBuild",
    "Log",
    "MountedSecret",
    "NodeResult",
    "Outline",
    "Output",
    "Platform",
    "PlatformError",
    "ResourceExhausted",
    "SecretEnv",
    "SecretFile",
    "SolveStarted",
    "SshForward",
    "ToContainerd",
    "ToEngine",
    "ToFile",
    "ToFolder",
    "ToStdout",
    "Ulimit",
    "UnreachableError",
    "UsageError",
    "Vertex",
    "VertexStatus",
    "Warned",
    "Where",
    "build_request",
    "of_build",
    "parse_annotations",
    "parse_hosts",
    "parse_outputs",
    "parse_platforms",
    "parse_tags",
    "parse_ulimits",
]

_T = TypeVar("_T")
_ANSWERS = ("BuildArgument", "BuildTarget", "CheckError", "CheckResult", "CheckWarning", "MountedSecret", "Outline")
"""Names of `buildclient.results.subrequests`, which a build does not need."""
_CONNECT_GRACE = 60.0
"""Seconds to connect to every node, on top of the builder's own timeout for its pods to become ready."""


class Where(NamedTuple):
    """Which builder is meant, and where to look for it. The fields are the flags of the same names.

        Where(stack="dev")
        Where(from_cluster="buildkit/kube", kube_context="staging")
        Where(addr=("tcp://buildkit.example:1234",))

    Of `addr`, `builder_file`, `from_cluster`, `builder` and `stack` the first that is not empty counts. If all are
    empty, the environment and the project's selected stack decide, as for the command `buildclient`.
    """

    builder_file: str = ""
    """Path of a file with the builder output; `-` is standard input."""
    from_cluster: str = ""
    """`NAMESPACE/NAME` of a builder; its ConfigMap is read from the cluster."""
    builder: str = ""
    """`NAMESPACE/NAME` of a builder in the cluster, or the name of a builder of one of the project's stacks."""
    stack: str = ""
    """Name of a stack of the Pulumi project."""
    project: str = ""
    """Folder of the Pulumi project; empty means the working directory."""
    kube_context: str = ""
    """Name of a kubeconfig context; empty lets the builder output decide."""
    addr: tuple[str, ...] = ()
    """Addresses of BuildKit daemons, each a node: `tcp://HOST:PORT,platform=linux/arm64,cacert=ca.pem`."""


def _ignore(event: Event) -> None:
    return None


class Client:
    """One builder: builds on it and inspects it.

        client = Client(Where(stack="dev"))
        result = client.build(build_request("app", tags=["registry.example/app:1"], push=True))
        print(result.digest)
        print([node.name for node in client.inspect().nodes])

    The constructor reads nothing; the first call finds the builder. The blocking forms raise RuntimeError where an
    event loop is running: await the asynchronous forms there.
    """

    def __init__(
        self,
        where: Where | None = None,
        *,
        output: BuilderOutput | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`output`, if given, is used instead of searching; `environ` replaces the process's environment."""
        self._where = where or Where()
        self.environ = dict(os.environ if environ is None else environ)
        self._output = output
        self._pods: dict[tuple[Cluster, str], KubernetesPods] = {}
        self._home: KubernetesPods | None = None
        self._pool: ConnectionPool | None = None

    def build(self, request: BuildRequest, sink: EventSink = _ignore) -> BuildResult:
        """Runs a build and returns its result; `sink` is called with each progress event.

        Raises a subclass of ClientError: UsageError for a wrong request, UnreachableError when the builder cannot be
        reached, BuildFailed when the build fails.
        """
        return _run(self.build_async(request, sink))

    def check(self, request: BuildRequest) -> CheckResult:
        """Returns what the build checks find in the request's Dockerfile, and builds nothing; see `check_async`."""
        return _run(self.check_async(request))

    def outline(self, request: BuildRequest) -> Outline:
        """Returns what the request's target takes; see `outline_async`."""
        return _run(self.outline_async(request))

    def targets(self, request: BuildRequest) -> tuple[BuildTarget, ...]:
        """Returns the targets of the request's Dockerfile; see `targets_async`."""
        return _run(self.targets_async(request))

    def inspect(self, *, bootstrap: bool = False) -> BuilderView:
        """Returns the builder's nodes, pods and platforms; with `bootstrap`, waits for ready pods first.

        A node that cannot be reached carries its error in the result. Raises a subclass of ClientError if there is no
        such builder.
        """
        return _run(self.inspect_async(bootstrap=bootstrap))

    def ls(self) -> tuple[BuilderView, ...]:
        """Returns every builder that is found, each as `inspect` does. Raises a subclass of ClientError."""
        return _run(self.ls_async())

    async def output_async(self) -> BuilderOutput:
        """Returns the builder output, which is read once. Raises UnreachableError, UsageError."""
        if self._output is None:
            from buildclient.discovery.builder_output import find_output

            self._output = await find_output(self._where, self.environ, self._config_map)
        return self._output

    async def build_async(self, request: BuildRequest, sink: EventSink = _ignore) -> BuildResult:
        """As `build`; `sink` is called in the loop's thread. Cancelling the task cancels the build.

        Several builds may run at once. To share one sink, give each `of_build(sink, name)`.
        """
        check_request(request)
        tools = _Tools(self, sink)
        await tools.find_named(request)
        output = await self.output_async()
        if not request.call:
            outputs = with_default_load(output.default_load, request.outputs, self.environ)
            request = request._replace(outputs=outputs)
        if self.environ.get("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY") and not request.source_policy:
            from buildclient.daemon.source_policy import read_source_policy

            request = request._replace(source_policy=read_source_policy(self.environ))
        longest = max(node.timeout_seconds for node in output.nodes)
        deadline = asyncio.get_running_loop().time() + longest + _CONNECT_GRACE
        request = with_s3_credentials(with_proxies(request, tools.docker.proxies()), self._aws_credentials)
        if request.call or not loads(request.outputs):
            return await build(output, request, tools, sink, deadline)
        from buildclient.results.loads import prepare_loads

        tools.loads = await prepare_loads(request, self.environ, sink)
        try:
            result = await build(output, tools.loads.request, tools, sink, deadline)
        except (BuildFailed, OSError):
            # The daemon only knows that its archive was not taken.
            if failure := tools.loads.failure:
                raise failure from None
            raise
        return result._replace(image_id=tools.loads.image_id or result.image_id)

    def _aws_credentials(self) -> Mapping[str, str]:
        from buildclient.registry.aws import aws_credentials

        return aws_credentials(self.environ)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        """Inside this context all calls share connections: each daemon is connected to once, on first use.

            async with client.session():
                await asyncio.gather(client.build_async(one, sink), client.build_async(two, sink))

        The end of the context closes them. A session inside another one is the outer session.
        """
        if self._pool is not None:
            yield self
            return
        from buildclient.nodes.pool import ConnectionPool

        self._pool = pool = ConnectionPool()
        try:
            yield self
        finally:
            self._pool = None
            await pool.close()

    async def check_async(self, request: BuildRequest, sink: EventSink = _ignore) -> CheckResult:
        """Returns what the build checks find in the request's Dockerfile, and builds nothing.

        Outputs and cache exports of the request are ignored. Raises as `build` does; a Dockerfile that cannot be built
        is no exception but the result's `error`.
        """
        from buildclient.results.subrequests import read_check

        return read_check(await self.call_async(request, "lint", sink))

    async def outline_async(self, request: BuildRequest, sink: EventSink = _ignore) -> Outline:
        """Returns what the request's target takes: build arguments, secrets, SSH. Raises as `build` does."""
        from buildclient.results.subrequests import read_outline

        return read_outline(await self.call_async(request, "outline", sink))

    async def targets_async(self, request: BuildRequest, sink: EventSink = _ignore) -> tuple[BuildTarget, ...]:
        """Returns the targets of the request's Dockerfile, in its order. Raises as `build` does."""
        from buildclient.results.subrequests import read_targets

        return read_targets(await self.call_async(request, "targets", sink))

    async def call_async(self, request: BuildRequest, name: str, sink: EventSink = _ignore) -> Mapping[str, str]:
        """Asks the request's frontend for `frontend.NAME` and returns its answer: `result.json`, `result.txt`, ….

        Of several nodes all are asked, and the first one's answer is returned. Raises as `build` does.
        """
        result = await self.build_async(request._replace(call=name), sink)
        return result.nodes[0].response

    async def inspect_async(
        self, *, bootstrap: bool = False, waiting: Callable[[str, Sequence[Pod]], None] | None = None
    ) -> BuilderView:
        """As `inspect`; `waiting` is called with a node's name and pods while it waits for them."""
        return await self._view(await self.output_async(), bootstrap, waiting, load=True)

    async def dial_async(
        self,
        platform: Platform | None = None,
        routing_key: str = "",
        waiting: Callable[[str, Sequence[Pod]], None] | None = None,
    ) -> Connection:
        """Opens a byte stream to one BuildKit daemon, for a client of its own; the caller closes it.

        Of several nodes, that of `platform`; of several pods, that of the routing key (default: the working
        directory). Raises UnreachableError, UsageError.
        """
        from buildclient.nodes.placement import choose_node

        output = await self.output_async()
        longest = max(node.timeout_seconds for node in output.nodes)
        deadline = asyncio.get_running_loop().time() + longest + _CONNECT_GRACE
        key = routing_key or os.getcwd()
        node = await choose_node(self.nodes_of(output, waiting), (platform,) if platform else (), key, deadline)
        return await node.dial(key, deadline)

    async def ls_async(self) -> tuple[BuilderView, ...]:
        """As `ls`."""
        current = None
        where = self._where
        if self._output or where.addr or where.builder_file or where.from_cluster or where.builder or where.stack:
            outputs: Sequence[BuilderOutput] = [await self.output_async()]
        else:
            from buildclient.discovery.builder_output import find_output, find_outputs

            outputs = await find_outputs(self._where, self.environ, self._config_map)
            # With several builders, mark the default one, if there is one.
            if len(outputs) > 1:
                with contextlib.suppress(ClientError):
                    current = await find_output(self._where, self.environ, self._config_map)
        views = await asyncio.gather(*(self._view(output, False, None) for output in outputs))
        return tuple(view._replace(current=view.output == current) for view in views)

    def nodes_of(
        self, output: BuilderOutput, waiting: Callable[[str, Sequence[Pod]], None] | None = None
    ) -> list[NodeClient]:
        """Returns the builder's nodes, not yet connected. Raises UnreachableError if its cluster is not found."""
        from buildclient.nodes.node import NodeClient

        return [
            NodeClient(node, self._pods_for(node, output), waiting, self._pool, self.environ) for node in output.nodes
        ]

    async def _view(
        self,
        output: BuilderOutput,
        bootstrap: bool,
        waiting: Callable[[str, Sequence[Pod]], None] | None,
        *,
        load: bool = False,
    ) -> BuilderView:
        from buildclient.nodes.inspect import inspect_nodes
        from buildclient.nodes.views import BuilderView, NodeView

        try:
            nodes = self.nodes_of(output, waiting)
        except ClientError as error:
            return BuilderView(output, nodes=tuple(NodeView(node) for node in output.nodes), error=str(error))
        context = ""
        if any(not node.node.address for node in nodes):
            context = self._cluster(output).api.access.context
        return BuilderView(output, context, await inspect_nodes(nodes, bootstrap=bootstrap, load=load))

    def _pods_for(self, node: NodeOutput, output: BuilderOutput) -> KubernetesPods | None:
        if not node.address:
            return self._cluster(output)
        if not node.address.startswith("kube-pod:"):
            return None
        from buildclient.contract.address import KubePod, parse_address

        address = parse_address(node.address)
        context = address.context if isinstance(address, KubePod) else ""
        return self._pods_of(output.cluster, context)

    def _cluster(self, output: BuilderOutput) -> KubernetesPods:
        # An output read from a cluster belongs to that cluster, whatever address it records.
        return self._home if self._home and output is self._output else self._pods_of(output.cluster)

    def _pods_of(self, cluster: Cluster, kube_context: str = "") -> KubernetesPods:
        """Returns the pods of a cluster: one object per cluster, so that its certificates are read once.

        `kube_context` is the context that an address names.
        """
        key = cluster, kube_context
        if key not in self._pods:
            from buildclient.discovery.cluster import choose_access, in_cluster
            from buildclient.kube.api import KubeApi
            from buildclient.kube.kubeconfig import load_kubeconfig
            from buildclient.kube.pods import KubernetesPods

            access = choose_access(
                load_kubeconfig(self.environ),
                cluster,
                kube_context or self._where.kube_context,
                in_cluster(self.environ),
            )
            self._pods[key] = KubernetesPods(KubeApi(access, self.environ))
        return self._pods[key]

    async def _config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        self._home = self._pods_of(Cluster())
        return await self._home.config_map(namespace, name)


class _Tools:
    """Implements `buildclient.build.Tools` with the real rooms."""

    def __init__(self, client: Client, sink: EventSink) -> None:
        from buildclient.nodes.waiting import WaitSteps
        from buildclient.registry.docker_config import DockerConfig

        self._client = client
        self.docker = DockerConfig(client.environ)
        self._waiting = WaitSteps(sink)
        self.loads: Loads | None = None
        self._sink = sink
        self._named: tuple[Service, ...] = ()

    async def find_named(self, request: BuildRequest) -> None:
        """Finds what the request's secrets and SSH agents name. Raises UsageError if something of it is not there."""
        from buildclient.session.secrets import Secrets
        from buildclient.session.ssh import SshAgents

        secrets = Secrets(request.secrets, self._client.environ)
        secrets.check()
        agents = SshAgents(request.ssh, self._client.environ)
        await agents.load()
        # Served without any, too: their answers are docker buildx's.
        self._named = secrets.service(), agents.service()

    def nodes(self, output: BuilderOutput) -> Sequence[Node]:
        return self._client.nodes_of(output, self._waiting)

    def routing_key(self, request: BuildRequest) -> str:
        from buildclient.inputs.checkout import find_checkout
        from buildclient.inputs.routing import routing_key

        local = os.path.isdir(request.context)
        context = os.path.abspath(request.context) if local else request.context
        checkout = find_checkout(context) if local else None
        return routing_key(context, checkout, request.dockerfile, request.target, request.platforms)

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
            from buildclient.results.stores import store_steps

            steps.extend(store_steps(request, nodes, self._sink))
        return steps

    def services(self, request: BuildRequest) -> Sequence[Service]:
        from buildclient.registry.token import fetch_token
        from buildclient.registry.token_seed import TokenSeeds
        from buildclient.session.auth import auth

        return (auth(self.docker, fetch_token, TokenSeeds(os.path.dirname(self.docker.path))), *self._named)

    async def merge(self, request: BuildRequest, responses: Sequence[Mapping[str, str]]) -> str:
        from buildclient.registry.client import OciRegistry
        from buildclient.registry.merge import index_annotations
        from buildclient.registry.publish import publish_index
        from buildclient.request.annotations import annotation_attrs
        from buildclient.request.attrs import image_names, insecure_registries

        listed = self._client.environ.get("BUILDCLIENT_INSECURE_REGISTRIES", "")
        insecure = [host.strip() for host in listed.split(",") if host.strip()]
        registry = OciRegistry(self.docker, [*insecure, *insecure_registries(request)])
        attributes = [*(output.attrs for output in request.outputs), annotation_attrs(request.annotations)]
        return await publish_index(registry, image_names(request), responses, index_annotations(attributes))


def __getattr__(name: str) -> Any:
    if name not in _ANSWERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from buildclient.results import subrequests

    return getattr(subrequests, name)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise RuntimeError("an event loop is running already: await build_async, inspect_async or ls_async instead")
