"""The pods of a builder, and the ConfigMap with its output; implements `buildclient.kube.pod.Pods`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.base.streams import Endpoint
from buildclient.base.threads import in_thread
from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.pod import Pod, Queue, describe_pods, read_pod, table, tables

if TYPE_CHECKING:
    from buildclient.kube.tunnel import SpareConnection

__all__ = ["KubernetesPods", "Report", "Wanted"]

Report = Callable[[Sequence[Pod]], None]
"""Called with the pods each time they change during the wait."""
_Get = Callable[[str, Mapping[str, str], str], Awaitable[dict[str, Any]]]
_LOG = logging.getLogger("buildclient.kube")
_GONE = 410
"""HTTP status of a watch whose resourceVersion is too old."""
_NOT_FOUND = 404
_CONFLICT = 409
"""HTTP status of a patch of an older version of the object."""
_SCALE_TRIES = 8
"""How often a scale is read anew that changes meanwhile; a workload that rolls changes several times a second."""


class Wanted(NamedTuple):
    """Which pods to select."""

    namespace: str
    selector: Mapping[str, str]

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods"

    @property
    def labels(self) -> str:
        return ",".join(f"{key}={value}" for key, value in sorted(self.selector.items()))

    @property
    def query(self) -> dict[str, str]:
        return {"labelSelector": self.labels}

    @property
    def what(self) -> str:
        return f"cannot list the pods of namespace {self.namespace}"


class KubernetesPods:
    """Lists, watches and connects to the pods of one cluster."""

    def __init__(self, api: KubeApi, *, machines: bool = False) -> None:
        """With `machines`, each list also reads the Kubernetes nodes, at the same time; the right to may be missing."""
        self.api = api
        self._machines = machines

    async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        """All pods that carry the labels. Raises UnreachableError.

        Where the machines are read, a pod on one that is cordoned or under pressure counts as terminating, as long as
        there is another one.
        """
        return await self._all(Wanted(namespace, selector), self.api.get)

    async def recent(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        """As `list`, where what a watch has told a moment ago will do: the first list of a build."""
        return await self._all(Wanted(namespace, selector), self.api.recent)

    async def wait_ready(
        self,
        namespace: str,
        selector: Mapping[str, str],
        count: int,
        deadline: float,
        report: Report | None = None,
    ) -> Sequence[Pod]:
        """All pods once `count` of them are ready. Raises UnreachableError with each pod's reason at the deadline."""
        wanted = Wanted(namespace, selector)
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            pods, version = await self._list(wanted)
            if _enough(pods, count):
                return list(pods.values())
            if report:
                report(list(pods.values()))
            left = deadline - loop.time()
            if left <= 0:
                raise UnreachableError(self._late(pods, wanted, count, deadline - started))
            if await self._watch(pods, version, wanted, count, left, report):
                return list(pods.values())

    async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
        """Returns why a workload has no ready pods, in the cluster's words (`kube.reasons`)."""
        from buildclient.kube.reasons import read_reasons

        return await in_thread(lambda: read_reasons(self.api, namespace, kind, name))

    async def pulls(self, namespace: str, pods: Sequence[str]) -> Mapping[str, str]:
        """Returns what image pods of these names are waiting for (`kube.reasons`)."""
        from buildclient.kube.reasons import read_pulls

        return await in_thread(lambda: read_pulls(self.api, namespace, pods))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str]:
        """The data of a ConfigMap. Raises UnreachableError; ConfigurationError if there is none of that name."""
        what = f"cannot read ConfigMap {namespace}/{name}"
        try:
            path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps/{quote(name, safe='')}"
            found = await self.api.get(path, {}, what)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                raise ConfigurationError(str(error)) from None
            raise
        return {str(key): str(value) for key, value in table(found.get("data")).items()}

    async def replicas(self, namespace: str, kind: str, name: str) -> int:
        """How many pods a workload is to have. It takes the right to `get` the subresource `scale`.

        Raises UnreachableError.
        """
        return (await self._scale_of(namespace, kind, name))[0]

    async def scale(self, namespace: str, kind: str, name: str, replicas: int, *, only_from: int | None = None) -> int:
        """Sets a workload's replicas and returns how many it had; with `only_from`, only if it had that many.

        It takes the right to `get` and `patch` the subresource `scale`. Raises UnreachableError.
        """
        tries = _SCALE_TRIES
        while True:
            count, version = await self._scale_of(namespace, kind, name)
            if count == replicas or only_from not in (None, count):
                return count
            patch: dict[str, Any] = {"spec": {"replicas": replicas}}
            if only_from is not None:
                # Another client or an autoscaler may scale at the same time: the patch is of what was read.
                patch["metadata"] = {"resourceVersion": version}
            try:
                await self.api.merge_patch(
                    _scale_path(namespace, kind, name), patch, _scale_what(namespace, kind, name)
                )
                return count
            except ApiError as error:
                tries -= 1
                if error.status != _CONFLICT or not tries:
                    raise

    async def _scale_of(self, namespace: str, kind: str, name: str) -> tuple[int, str]:
        what = _scale_what(namespace, kind, name)
        found = await self.api.get(_scale_path(namespace, kind, name), {}, what)
        count = table(found.get("spec")).get("replicas")
        version = table(found.get("metadata")).get("resourceVersion")
        return (count if isinstance(count, int) else 0), str(version or "")

    def endpoint(self, pod: Pod, container: str, spare: SpareConnection | None = None) -> Endpoint:
        """The daemon in a pod, through an exec; a pod without a namespace is in the context's.

        `spare` serves its first attempt.
        """
        from buildclient.kube.tunnel import ExecEndpoint

        namespace = pod.namespace or self.api.access.namespace or "default"
        return ExecEndpoint(self.api, namespace, pod.name, container, spare)

    def spare(self) -> SpareConnection | None:
        """Begins to open a connection to the API server for an exec that will follow."""
        from buildclient.kube.tunnel import SpareConnection

        return SpareConnection(self.api)

    def version(self, pod: Pod, container: str) -> str | None:
        """None: nothing is remembered."""
        return None

    def note_version(self, pod: Pod, container: str, version: str) -> None:
        """Remembers nothing."""

    def queue(self, namespace: str, workload: str) -> Queue:
        """The queue of the builds that wait for a pod of the workload (`kube.leases`)."""
        from buildclient.kube.leases import LeaseQueue

        return LeaseQueue(self.api, namespace, workload)

    async def _all(self, wanted: Wanted, get: _Get) -> Sequence[Pod]:
        if not self._machines:
            pods, _ = await self._list(wanted, get)
            return list(pods.values())
        from buildclient.kube.machines import marked, read_going

        (pods, _), going = await asyncio.gather(self._list(wanted, get), read_going(self.api))
        return marked(list(pods.values()), going)

    async def _list(self, wanted: Wanted, get: _Get | None = None) -> tuple[dict[str, Pod], str]:
        answer = await (get or self.api.get)(wanted.path, wanted.query, wanted.what)
        pods = [read_pod(item) for item in tables(answer.get("items"))]
        _LOG.debug("pods with %s in %s: %s", wanted.labels, wanted.namespace, _summary(pods))
        return {pod.name: pod for pod in pods}, str(table(answer.get("metadata")).get("resourceVersion") or "")

    async def _watch(
        self, pods: dict[str, Pod], version: str, wanted: Wanted, count: int, seconds: float, report: Report | None
    ) -> bool:
        """Updates `pods` until enough are ready (True) or the watch ends (False)."""

        def seen(event: dict[str, Any]) -> bool:
            pod = read_pod(table(event.get("object")))
            if event.get("type") == "DELETED":
                pods.pop(pod.name, None)
            elif event.get("type") in ("ADDED", "MODIFIED"):
                pods[pod.name] = pod
            if report:
                report(list(pods.values()))
            return _enough(pods, count)

        query = {**wanted.query, "resourceVersion": version}
        try:
            return await self.api.watch(wanted.path, query, wanted.what, seconds, seen)
        except ApiError as error:
            if error.status == _GONE:
                _LOG.debug("the watch is too old (410): list again")
                return False
            raise

    def _late(self, pods: Mapping[str, Pod], wanted: Wanted, count: int, seconds: float) -> str:
        where = f"{self.api.where}, namespace {wanted.namespace}"
        if not pods:
            return (
                f"no pod carries {wanted.labels} ({where}) after {seconds:.0f} s; is the builder deployed, "
                "with replicas?"
            )
        ready = sum(pod.ready and not pod.terminating for pod in pods.values())
        return f"{ready} of {count} pods with {wanted.labels} ready after {seconds:.0f} s ({where}): " + describe_pods(
            [pod for pod in pods.values() if not pod.ready or pod.terminating]
        )


def _scale_path(namespace: str, kind: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/{kind.lower()}s/{quote(name, safe='')}/scale"


def _scale_what(namespace: str, kind: str, name: str) -> str:
    return f"cannot scale {kind.lower()} {namespace}/{name}"


def _enough(pods: Mapping[str, Pod], count: int) -> bool:
    return sum(pod.ready and not pod.terminating for pod in pods.values()) >= count


def _summary(pods: Sequence[Pod]) -> str:
    ready = [f"{pod.name} ready" for pod in pods if pod.ready and not pod.terminating]
    others = [pod for pod in pods if not pod.ready or pod.terminating]
    return "; ".join([*ready, describe_pods(others)] if others else ready) or "none"
