"""The class `Builder`: finds a builder, builds with it, inspects it. `buildclient` exports it and its values.

Most calls have a blocking form (`build`) and an asynchronous one (`build_async`). They raise subclasses of ClientError,
whose text is meant for users.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from buildclient.ahead import BuildAhead, name_in_cluster
from buildclient.base.errors import BuildFailed, Cancelled, ClientError, UsageError
from buildclient.build import build
from buildclient.contract.output import BuilderOutput, NodeOutput, OutputError
from buildclient.contract.platform import Platform
from buildclient.discovery.where import Where
from buildclient.kube.pod import Pod, Pods
from buildclient.progress.events import Event, EventSink
from buildclient.request.attrs import with_proxies
from buildclient.request.caches import with_s3_credentials
from buildclient.request.checks import check_request
from buildclient.request.outputs import loads, with_default_load
from buildclient.request.values import BuildRequest, BuildResult
from buildclient.tools import BuildTools, Clusters

if TYPE_CHECKING:
    from buildclient.base.streams import Connection
    from buildclient.nodes.line import Queued
    from buildclient.nodes.node import NodeClient
    from buildclient.nodes.nodepods import Waiting
    from buildclient.nodes.pool import ConnectionPool
    from buildclient.nodes.views import BuilderView
    from buildclient.results.subrequests import BuildTarget, CheckResult, Outline

__all__ = ["Builder"]

_T = TypeVar("_T")
_CONNECT_GRACE = 60.0
"""Seconds to connect to every node, on top of the builder's own timeout for its pods to become ready."""


def _ignore(event: Event) -> None:
    return None


class Builder:
    """One builder: builds on it and inspects it.

        builder = Builder.from_stack("dev")
        result = builder.build(build_request("app", tags=["registry.example/app:1"], push=True))
        print(result.digest)
        print([node.name for node in builder.inspect().nodes])

    Making one reads nothing; the first call finds the builder. The blocking forms may be called in several threads at
    once. They raise RuntimeError where an event loop is running: await the asynchronous forms there.
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
        self._clusters = Clusters(self.environ, self._where.kube_context)
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._begun: dict[asyncio.AbstractEventLoop, BuildAhead] = {}

    @classmethod
    def from_stack(
        cls, stack: str, project: str = "", *, kube_context: str = "", environ: Mapping[str, str] | None = None
    ) -> Builder:
        """Returns the builder of a stack of the Pulumi project in the folder `project`, by default the working one."""
        return cls(Where(stack=stack, project=project, kube_context=kube_context), environ=environ)

    @classmethod
    def from_cluster(cls, name: str, *, kube_context: str = "", environ: Mapping[str, str] | None = None) -> Builder:
        """Returns the builder `NAMESPACE/NAME`, which is read from its ConfigMap."""
        return cls(Where(from_cluster=name, kube_context=kube_context), environ=environ)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Builder:
        """Returns the builder whose output is in a file, as `builders up -o json` writes it."""
        return cls(Where(builder_file=os.fspath(path)), environ=environ)

    @classmethod
    def from_output(
        cls, output: BuilderOutput | Mapping[str, Any], *, environ: Mapping[str, str] | None = None
    ) -> Builder:
        """Returns the builder of an output that is at hand: a value, or what `pulumi.Stack.outputs()` holds of it.

        Raises UsageError if it is not one.
        """
        if not isinstance(output, BuilderOutput):
            try:
                output = BuilderOutput.from_json(output)
            except OutputError as error:
                raise UsageError(f"not a builder output: {error}") from None
        return cls(output=output, environ=environ)

    @classmethod
    def at(cls, *addresses: str, environ: Mapping[str, str] | None = None) -> Builder:
        """Returns a builder of the BuildKit daemons at the addresses, each a node; see `Where.addr`."""
        if not addresses:
            raise UsageError("Builder.at wants an address, such as tcp://buildkit.example:1234")
        return cls(Where(addr=addresses), environ=environ)

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

            self._output = await find_output(self._where, self.environ, self._clusters.config_map)
            self._clusters.found = self._output
        return self._output

    async def build_async(self, request: BuildRequest, sink: EventSink = _ignore) -> BuildResult:
        """As `build`; `sink` is called in the loop's thread. Cancelling the task cancels the build.

        Several builds may run at once. To share one sink, give each `of_build(sink, name)`.
        """
        with self._in_session():
            if not request.timeout:
                return await self._build(request, sink)
            try:
                async with asyncio.timeout(request.timeout) as limit:
                    return await self._build(request, sink)
            except TimeoutError:
                if not limit.expired():
                    raise
                late = Cancelled(f"the build did not end within {request.timeout:g} s, its time limit")
                late.of_build = True
                raise late from None

    def begin(self, request: BuildRequest) -> None:
        """Begins to connect for a build that follows in the running loop, where the last one like it tells how.

        Only for builders that are read from the cluster: their nodes are not known before. `build` does it by itself;
        this is for a program that asks the builder something first.
        """
        name = name_in_cluster(self._where, self.environ)
        loop = asyncio.get_running_loop()
        if loop not in self._begun and self._output is None and name and self._pool() is None:
            # Builds in threads have loops of their own, and what they ask for belongs to these.
            self._begun[loop] = BuildAhead(self._clusters, request)
            self._begun[loop].begin(name)

    async def _build(self, request: BuildRequest, sink: EventSink) -> BuildResult:
        check_request(request)
        self.begin(request)
        ahead = self._begun.pop(asyncio.get_running_loop(), None) or BuildAhead(self._clusters, request)
        try:
            return await self._build_by(ahead, request, sink)
        finally:
            await ahead.end()

    async def _build_by(self, ahead: BuildAhead, request: BuildRequest, sink: EventSink) -> BuildResult:
        tools = BuildTools(self.environ, partial(self.nodes_of, pods_for=ahead.pods_for), sink)
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
    async def session(self) -> AsyncIterator[Builder]:
        """Inside this context all calls share connections: each daemon is connected to once, on first use.

            async with builder.session():
                await asyncio.gather(builder.build_async(one, sink), builder.build_async(two, sink))

        The end of the context cancels the tasks in which a call still runs, waits for them, and closes the connections.
        A session inside another one is the outer session.
        """
        loop = asyncio.get_running_loop()
        if loop in self._sessions:
            yield self
            return
        from buildclient.nodes.pool import ConnectionPool

        session = self._sessions[loop] = _Session(ConnectionPool())
        try:
            yield self
        finally:
            del self._sessions[loop]
            await session.end()

    @contextlib.contextmanager
    def _in_session(self) -> Iterator[None]:
        """Makes the running task one that the session's end cancels."""
        session = self._sessions.get(asyncio.get_running_loop())
        task = asyncio.current_task()
        if session is None or task is None or task in session.tasks:
            yield
            return
        session.tasks.add(task)
        try:
            yield
        finally:
            session.tasks.discard(task)

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
        with self._in_session():
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

    async def end_kept_async(self) -> None:
        """Ends the process that keeps connections to the builder's cluster (BUILDCLIENT_KEEP), if there is one."""
        await self._clusters.end_kept(await self.output_async())

    async def ls_async(self) -> tuple[BuilderView, ...]:
        """As `ls`."""
        current = None
        where = self._where
        if self._output or where.addr or where.builder_file or where.from_cluster or where.builder or where.stack:
            outputs: Sequence[BuilderOutput] = [await self.output_async()]
        else:
            from buildclient.discovery.builder_output import find_output, find_outputs

            outputs = await find_outputs(self._where, self.environ, self._clusters.config_map)
            # With several builders, mark the default one, if there is one.
            if len(outputs) > 1:
                with contextlib.suppress(ClientError):
                    current = await find_output(self._where, self.environ, self._clusters.config_map)
        views = await asyncio.gather(*(self._view(output, False, None) for output in outputs))
        return tuple(view._replace(current=view.output == current) for view in views)

    def nodes_of(
        self,
        output: BuilderOutput,
        waiting: Waiting | None = None,
        queued: Queued | None = None,
        *,
        pods_for: Callable[[NodeOutput, BuilderOutput], Pods | None] | None = None,
    ) -> list[NodeClient]:
        """Returns the builder's nodes, not yet connected. Raises UnreachableError if its cluster is not found."""
        from buildclient.nodes.node import NodeClient

        pool = self._pool()
        if pods_for is None or pool is not None:
            pods_for = self._clusters.pods_for
        return [
            NodeClient(node, pods_for(node, output), waiting, pool, self.environ, queued=queued)
            for node in output.nodes
        ]

    def _pool(self) -> ConnectionPool | None:
        # Connections belong to a loop; a blocking call in another thread has its own.
        try:
            session = self._sessions.get(asyncio.get_running_loop())
        except RuntimeError:
            return None
        return session.pool if session else None

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
            context = self._clusters.pods_of(output).api.access.context
        return BuilderView(output, context, await inspect_nodes(nodes, bootstrap=bootstrap, load=load))


class _Session:
    """What the calls inside of `Builder.session` share."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self.tasks: set[asyncio.Task[Any]] = set()
        """Those in which a call runs."""

    async def end(self) -> None:
        """Cancels what runs, and closes the connections."""
        left = self.tasks - {asyncio.current_task()}
        for task in left:
            task.cancel()
        try:
            if left:
                await asyncio.wait(left)
        finally:
            await self.pool.close()


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    name = getattr(work, "__name__", "its asynchronous form")
    work.close()
    raise RuntimeError(f"an event loop is running already: await {name} instead of {name.removesuffix('_async')}")
