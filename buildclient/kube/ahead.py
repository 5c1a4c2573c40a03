"""The pods of a build, asked for before it is known which they are.

Over a link every round trip counts, and the list of pods, the exec into one and the builder's ConfigMap take three
each. What the last such build used (`buildclient.kube.lastpods`) is asked for at once: lists, and tunnels into pods.

Rules:
* A list is used once, and only for the namespace and labels that were asked for.
* The first list of a node may be one that a watch has kept up to date (`buildclient.keep`); whoever asks again has seen
  that something was not so, and is told by the cluster.
* A tunnel is only handed out for a pod that was chosen from a list; until then nothing is sent through it.
* What turns out not to be needed is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from buildclient.base.errors import UnreachableError
from buildclient.base.streams import Connection, Endpoint
from buildclient.kube.lastpods import LastPod, LastPods
from buildclient.kube.pod import Pod, Queue
from buildclient.kube.pods import KubernetesPods
from buildclient.kube.tunnel import SpareConnection

__all__ = ["AheadPods"]

_LOG = logging.getLogger("buildclient.kube")
_TIMEOUT = 25.0
"""Seconds for a tunnel, as for one that is not opened ahead."""

_Labels = tuple[tuple[str, str], ...]


class AheadPods:
    """The pods of one cluster for one build; implements `buildclient.kube.pod.Pods`. `end` closes what is left."""

    def __init__(self, pods: KubernetesPods, last: LastPods, key: str) -> None:
        """`key` is the build's routing key."""
        self.inner = pods
        self._last = last
        self._key = key
        self._recalled = {(one.namespace, one.selector): one for one in last.recall(key)}
        self._lists: dict[tuple[str, _Labels], asyncio.Task[Sequence[Pod]]] = {}
        self._tunnels: dict[tuple[str, _Labels], tuple[LastPod, asyncio.Task[Connection]]] = {}
        self._listed: set[tuple[str, _Labels]] = set()
        self._of: dict[tuple[str, str], _Labels] = {}
        self._dropped: list[asyncio.Task[None]] = []
        self._spares: list[SpareConnection | None] = []
        self._opened = self._unknown = 0
        self.used: list[LastPod] = []
        """The pods that were connected to."""

    def begin(self) -> None:
        """Asks for all that the last such build used; where there was none, opens the connections that it will need."""
        if not self._recalled and (spare := self.inner.spare()):
            self._opened += 1
            self._spares.append(spare)
            self.inner.api.prepare()
        for (namespace, selector), one in self._recalled.items():
            self._lists[namespace, selector] = asyncio.ensure_future(self.inner.recent(namespace, dict(selector)))
            self._open(one)

    async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        """As Pods'. The first list of a node is the one that was asked for ahead, if one was."""
        labels = tuple(sorted(selector.items()))
        begun = self._lists.pop((namespace, labels), None)
        first = (namespace, labels) not in self._listed
        self._listed.add((namespace, labels))
        if begun is None:
            if one := self._recalled.get((namespace, labels)):
                self._open(one)
            else:
                self._unknown += 1
                if self._opened < self._unknown:
                    self._opened += 1
                    self._spares.append(self.inner.spare())
            pods = await (self.inner.recent if first else self.inner.list)(namespace, selector)
        else:
            try:
                pods = await begun
            except BaseException:
                begun.cancel()
                raise
        self._of.update({(pod.namespace, pod.name): labels for pod in pods})
        guess, _ = self._tunnels.get((namespace, labels), (None, None))
        if guess and not any(pod.name == guess.pod and pod.ready and not pod.terminating for pod in pods):
            self._drop(namespace, labels)
        return pods

    async def wait_ready(
        self,
        namespace: str,
        selector: Mapping[str, str],
        count: int,
        deadline: float,
        report: Callable[[Sequence[Pod]], None] | None = None,
    ) -> Sequence[Pod]:
        """As Pods'."""
        pods = await self.inner.wait_ready(namespace, selector, count, deadline, report)
        self._of.update({(pod.namespace, pod.name): tuple(sorted(selector.items())) for pod in pods})
        return pods

    async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
        """As Pods'."""
        return await self.inner.reasons(namespace, kind, name)

    async def pulls(self, namespace: str, pods: Sequence[str]) -> Mapping[str, str]:
        """As Pods'."""
        return await self.inner.pulls(namespace, pods)

    async def replicas(self, namespace: str, kind: str, name: str) -> int:
        """As Pods'."""
        return await self.inner.replicas(namespace, kind, name)

    async def scale(self, namespace: str, kind: str, name: str, replicas: int, *, only_from: int | None = None) -> int:
        """As Pods'."""
        return await self.inner.scale(namespace, kind, name, replicas, only_from=only_from)

    def queue(self, namespace: str, workload: str) -> Queue:
        """As those of the cluster."""
        return self.inner.queue(namespace, workload)

    def endpoint(self, pod: Pod, container: str) -> Endpoint:
        """As Pods'; its first connection is the one that was opened ahead, if it leads to this pod."""
        plain = self.inner.endpoint(pod, container, self._spares.pop() if self._spares else None)
        labels = self._of.get((pod.namespace, pod.name))
        return plain if labels is None else _Chosen(self, plain, LastPod(pod.namespace, labels, container, pod.name))

    def version(self, pod: Pod, container: str) -> str | None:
        """As Pods', of what earlier builds on this builder were told."""
        return self._last.version(pod.container_id(container))

    def note_version(self, pod: Pod, container: str, version: str) -> None:
        """As Pods', for later builds."""
        self._last.note_version(pod.container_id(container), version)

    async def end(self) -> None:
        """Closes what is not used, and notes what was."""
        for task in self._lists.values():
            task.cancel()
        for namespace, labels in list(self._tunnels):
            self._drop(namespace, labels)
        self.inner.api.close_prepared()
        for spare in filter(None, self._spares):
            await spare.close()
        await asyncio.gather(*self._lists.values(), *self._dropped, return_exceptions=True)
        self._last.save()

    async def connect(self, chosen: LastPod, plain: Endpoint, deadline: float) -> Connection:
        """Returns the tunnel that leads to the pod already, else a new one. Raises UnreachableError."""
        at = chosen.namespace, chosen.selector
        guess, opening = self._tunnels.get(at, (None, None))
        connection = None
        if opening is not None and guess == chosen:
            # Taken at once: several pods of a node may be connected to at the same time.
            del self._tunnels[at]
            try:
                await asyncio.wait([opening], timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
                if opening.done() and not opening.cancelled() and opening.exception() is None:
                    connection = opening.result()
            finally:
                if connection is None:
                    self._dropped.append(asyncio.ensure_future(_closed(opening)))
        if connection is None:
            connection = await plain.connect(deadline)
        self._drop(*at)
        self._last.note(self._key, chosen)
        if chosen not in self.used:
            self.used.append(chosen)
        return connection

    def _open(self, one: LastPod) -> None:
        if (one.namespace, one.selector) in self._tunnels:
            return
        _LOG.debug("exec ahead into pod %s, which the last build used", one.pod)
        endpoint = self.inner.endpoint(Pod(one.pod, one.namespace, ready=True, terminating=False), one.container)
        until = asyncio.get_running_loop().time() + _TIMEOUT
        task: asyncio.Task[Connection] = asyncio.ensure_future(endpoint.connect(until))
        self._tunnels[one.namespace, one.selector] = one, task

    def _drop(self, namespace: str, labels: _Labels) -> None:
        """Closes the tunnel that was opened ahead and leads to another pod, if there is one."""
        if (namespace, labels) not in self._tunnels:
            return
        one, task = self._tunnels.pop((namespace, labels))
        _LOG.debug("pod %s: the tunnel that was opened ahead is not used", one.pod)
        self._dropped.append(asyncio.ensure_future(_closed(task)))


class _Chosen:
    """A pod that was chosen from a list; implements Endpoint."""

    def __init__(self, ahead: AheadPods, plain: Endpoint, chosen: LastPod) -> None:
        self._ahead, self._plain, self._chosen = ahead, plain, chosen

    @property
    def description(self) -> str:
        return self._plain.description

    @property
    def authority(self) -> str:
        return self._plain.authority

    async def connect(self, deadline: float) -> Connection:
        return await self._ahead.connect(self._chosen, self._plain, deadline)


async def _closed(task: asyncio.Task[Connection]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, UnreachableError):
        await (await task).close()
