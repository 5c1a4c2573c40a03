"""Which node is idle, and that only an idle one is scaled to no pods."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.contract.output import NodeOutput, Workload
from buildclient.daemon.records import BuildRecord
from buildclient.kube.pod import Pod
from buildclient.kube.reasons import LEFT_TO_CLUSTER, STOPPED
from buildclient.nodes.ask import NodeAnswers, PodAnswer
from buildclient.nodes.idle import busy_reason, stop_if_idle
from buildclient.nodes.node import NodeClient
from tests.load import until

NOW = 10_000.0
NODE = NodeOutput("n", "ns", workload=Workload("Deployment", "n"), selector={"app": "n"}, replicas=3, min_replicas=0)
Records = tuple[BuildRecord, ...]


def _pod(name: str = "p", *, ready: bool = True, terminating: bool = False, since: float = 0.0) -> Pod:
    return Pod(name, "ns", ready, terminating, ready_since=since)


def _answers(*pods: PodAnswer[Records]) -> NodeAnswers[Records]:
    return NodeAnswers(NODE, pods)


@pytest.mark.parametrize(
    ("pods", "busy"),
    [
        ([PodAnswer(_pod(), ())], ""),
        ([PodAnswer(_pod(), (BuildRecord("a", completed=NOW - 61),))], ""),
        ([PodAnswer(_pod(), (BuildRecord("a", completed=NOW - 59),))], "a build has ended in p 59 seconds ago"),
        ([PodAnswer(_pod(), (BuildRecord("a", completed=NOW + 5),))], "a build has ended in p Less than a second ago"),
        ([PodAnswer(_pod(), (BuildRecord("a"),))], "1 builds are running in p, such as a"),
        ([PodAnswer(_pod(), ()), PodAnswer(_pod("q"), (BuildRecord("b"),))], "1 builds are running in q, such as b"),
        ([PodAnswer(_pod(since=NOW - 10), ())], "p is ready since 10 seconds"),
        ([PodAnswer(_pod(), ()), PodAnswer(_pod("q", ready=False))], "q is not ready"),
        ([PodAnswer(_pod(), ()), PodAnswer(_pod("q", ready=False, terminating=True))], ""),
        ([], "its pods are being created"),
        ([PodAnswer(_pod(terminating=True))], "its pods are being created"),
    ],
)
def test_a_node_is_idle_if_all_its_pods_are(pods: Sequence[PodAnswer[Records]], busy: str) -> None:
    """A build that runs or has just ended, and a pod that has just been started or is not ready, keep the node."""
    assert busy_reason(_answers(*pods), 60.0, NOW) == busy


class _Control:
    def __init__(self, cluster: _Cluster) -> None:
        self._cluster = cluster

    async def ask(self, query: Any, deadline: float) -> Records:
        return self._cluster.answers.pop(0) if len(self._cluster.answers) > 1 else self._cluster.answers[0]

    async def close(self) -> None:
        pass


class _Cluster:
    """Pods of one workload whose scale can be set; `moved` is what another sets it to before a patch."""

    def __init__(self, count: int, answers: Sequence[Records], moved: int | None = None) -> None:
        self.count, self.answers, self.moved = count, list(answers), moved
        self.scaled: list[tuple[int, int]] = []

    async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        return [_pod(f"p{number}") for number in range(self.count)]

    async def replicas(self, namespace: str, kind: str, name: str) -> int:
        return self.count

    async def scale(self, namespace: str, kind: str, name: str, replicas: int, *, only_from: int | None = None) -> int:
        before, self.moved = (self.count if self.moved is None else self.moved), None
        if only_from in (None, before):
            self.scaled.append((before, replicas))
            self.count = replicas
        return before


class _Node(NodeClient):
    def __init__(self, cluster: _Cluster) -> None:
        super().__init__(NODE, cluster)  # type: ignore[arg-type]
        self._cluster = cluster

    async def connect_to(self, pod: Pod, deadline: float) -> Any:
        if not self._cluster.answers:
            raise UnreachableError("no way")
        return _Control(self._cluster)


def _stop(cluster: _Cluster) -> Any:
    return asyncio.run(stop_if_idle(_Node(cluster), 60.0, 5.0))


def test_an_idle_node_is_scaled_to_no_pods() -> None:
    """And says how many it had; one without pods is left alone."""
    cluster = _Cluster(3, [()])
    assert _stop(cluster).stopped == 3
    assert cluster.scaled == [(3, 0)]
    assert _stop(cluster) == ("n", 0, "", "")
    assert cluster.scaled == [(3, 0)]


def test_a_build_that_begins_in_between_has_the_node_started_again() -> None:
    """The daemon is asked once more after the scaling."""
    cluster = _Cluster(1, [(), (BuildRecord("late"),)])
    rest = _stop(cluster)
    assert rest.stopped == 0
    assert "a build has just begun" in rest.busy
    assert cluster.scaled == [(1, 0), (0, 1)]


def test_a_node_that_is_scaled_meanwhile_is_left() -> None:
    """An autoscaler or a client has changed the number since it was read."""
    cluster = _Cluster(1, [()], moved=2)
    assert _stop(cluster).busy == "it has been scaled by another meanwhile"
    assert cluster.scaled == []


def test_a_pod_that_cannot_be_asked_keeps_the_node() -> None:
    """What is not known is not idle."""
    cluster = _Cluster(2, [])
    assert _stop(cluster).failed == "p0: no way; p1: no way"
    assert cluster.scaled == []


@pytest.mark.parametrize(
    ("node", "pods", "scaled"),
    [
        (NODE, [], [(0, 3)]),
        (NODE, [_pod(ready=False)], []),
        (NODE, [_pod(terminating=True)], [(0, 3)]),
        (NODE._replace(cluster_starts=True), [], []),
        (NODE._replace(replicas=0), [], []),
    ],
)
def test_a_client_starts_a_node_without_pods(
    node: NodeOutput, pods: Sequence[Pod], scaled: Sequence[tuple[int, int]]
) -> None:
    """Pods that are stopping do not count; what the cluster starts by itself is left to it."""

    class Waiting(_Cluster):
        async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
            return pods

        async def wait_ready(self, *arguments: Any) -> Sequence[Pod]:
            return [_pod()]

    async def wait(cluster: Any) -> None:
        await NodeClient(node, cluster).pods.wait_ready(asyncio.get_running_loop().time() + 5)

    cluster = Waiting(0, [()])
    asyncio.run(wait(cluster))
    assert cluster.scaled == scaled


def test_a_client_that_may_not_start_a_node_says_so() -> None:
    """The refusal stands beside what the wait ended with."""

    class Refusing(_Cluster):
        async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
            return []

        async def scale(self, *arguments: Any, **more: Any) -> int:
            raise UnreachableError("cannot scale deployment ns/n: forbidden")

        async def wait_ready(self, *arguments: Any) -> Sequence[Pod]:
            raise UnreachableError("no pod carries app=n")

        async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
            return ("stopped",)

    async def wait() -> None:
        await NodeClient(NODE, Refusing(0, [()])).pods.wait_ready(asyncio.get_running_loop().time() + 5)  # type: ignore[arg-type]

    with pytest.raises(UnreachableError) as caught:
        asyncio.run(wait())
    assert str(caught.value).endswith("the cluster says: cannot scale deployment ns/n: forbidden; stopped")


def test_a_node_that_the_cluster_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client says who starts it; and of a pod that is being created, which image is pulled."""
    monkeypatch.setattr("buildclient.nodes.nodepods._REASONS_PERIOD", 0.01)
    told: list[str] = []

    class Slow(_Cluster):
        async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
            return (STOPPED,)

        async def pulls(self, namespace: str, pods: Sequence[str]) -> Mapping[str, str]:
            return dict.fromkeys(pods, 'Pulling image "a"')

        async def wait_ready(self, *arguments: Any) -> Sequence[Pod]:
            await until(lambda: told)
            arguments[-1]([_pod(ready=False)])
            await until(lambda: told[-1].startswith("Pulling"))
            return [_pod()]

    async def wait(cluster: Any) -> None:
        node = NodeClient(
            NODE._replace(cluster_starts=True), cluster, lambda _, pods: told.extend(p.reason for p in pods)
        )
        await node.pods.wait_ready(asyncio.get_running_loop().time() + 5)

    asyncio.run(wait(Slow(0, [()])))
    assert told[0] == LEFT_TO_CLUSTER
    assert told[-1] == 'Pulling image "a"'
