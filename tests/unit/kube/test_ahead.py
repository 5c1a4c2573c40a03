"""Pods that are asked for ahead: what is guessed right is used, what is guessed wrong is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.contract.output import NodeOutput
from buildclient.kube.ahead import AheadPods
from buildclient.kube.kubeconfig import Access
from buildclient.kube.lastpods import LastPod, LastPods
from buildclient.kube.pod import Pod
from buildclient.nodes.node import NodeClient
from tests.load import until

_NODE = NodeOutput("n", "ns", selector={"app": "builder"}, container="buildkitd")


class _Connection:
    def __init__(self, pod: str) -> None:
        self.pod = pod
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class _Endpoint:
    description, authority = "there", "localhost"

    def __init__(self, cluster: _Cluster, pod: str) -> None:
        self._cluster, self._pod = cluster, pod

    async def connect(self, deadline: float) -> Any:
        self._cluster.happened.append(f"exec {self._pod}")
        await asyncio.sleep(0.01)
        if self._pod in self._cluster.broken:
            raise UnreachableError(f"{self._pod} is gone")
        self._cluster.opened.append(_Connection(self._pod))
        return self._cluster.opened[-1]


class _Cluster:
    """Pods whose list takes longer than an exec."""

    def __init__(self, *names: str) -> None:
        self.pods = [Pod(name, "ns", ready=True, terminating=False) for name in names]
        self.happened: list[str] = []
        self.opened: list[_Connection] = []
        self.broken: set[str] = set()

    async def recent(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        return await self.list(namespace, selector, "")

    async def list(self, namespace: str, selector: Mapping[str, str], anew: str = " anew") -> Sequence[Pod]:
        self.happened.append(f"list{anew}")
        await asyncio.sleep(0.05)
        self.happened.append("listed")
        return self.pods

    def endpoint(self, pod: Pod, container: str, spare: Any = None) -> Any:
        return _Endpoint(self, pod.name)

    def spare(self) -> None:
        return None

    @property
    def api(self) -> Any:
        return SimpleNamespace(close_prepared=lambda: None)


@pytest.fixture
def home(tmp_path: Path) -> LastPods:
    """Where builds are remembered."""
    return LastPods.of({"HOME": str(tmp_path)}, Access("https://cluster.example"), "ns", "kube")


def _remembers(home: LastPods, pod: str) -> None:
    home.note("key", LastPod("ns", (("app", "builder"),), "buildkitd", pod))
    home.save()


async def _dialled(cluster: _Cluster, home: LastPods, *, begin: bool = False) -> str:
    """Connects as a build does; the pod. All other connections must be closed then."""
    ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
    if begin:
        ahead.begin()
        await asyncio.sleep(0.03)
    connection: Any = await NodeClient(_NODE, ahead).dial("key", asyncio.get_running_loop().time() + 5)
    await ahead.end()
    assert not connection.closed
    assert all(one.closed for one in cluster.opened if one is not connection)
    return str(connection.pod)


async def test_the_last_used_pod_is_connected_to_while_the_pods_are_listed(home: LastPods) -> None:
    """The list confirms it, and its tunnel is the one that is used."""
    _remembers(home, "a")
    cluster = _Cluster("a")
    assert await _dialled(cluster, home) == "a"
    assert cluster.happened == ["list", "exec a", "listed"]


async def test_without_a_guess_the_list_comes_first_and_the_pod_is_remembered(home: LastPods) -> None:
    """For the next build."""
    cluster = _Cluster("a")
    assert await _dialled(cluster, home) == "a"
    assert cluster.happened == ["list", "listed", "exec a"]
    assert [one.pod for one in home.recall("key")] == ["a"]


@pytest.mark.parametrize("listed", [[], ["ready", "terminating"], ["terminating"]])
async def test_a_pod_that_the_list_does_not_confirm_is_not_used(home: LastPods, listed: list[str]) -> None:
    """It is gone, not ready, or stopping."""
    _remembers(home, "old")
    cluster = _Cluster("new")
    if listed:
        cluster.pods.append(Pod("old", "ns", ready="ready" in listed, terminating="terminating" in listed))
    assert await _dialled(cluster, home) == "new"
    assert [one.pod for one in home.recall("key")] == ["new"]


async def test_a_usable_pod_that_the_choice_does_not_fall_on_is_not_used(home: LastPods) -> None:
    """The choice is that of a client that remembers nothing."""
    cluster = _Cluster("a", "b")
    chosen = await _dialled(cluster, home)
    other = "b" if chosen == "a" else "a"
    _remembers(home, other)
    assert await _dialled(_Cluster("a", "b"), home) == chosen


async def test_a_guess_that_fails_is_no_failure(home: LastPods) -> None:
    """The pod is connected to as without a guess, and what is said then counts."""
    _remembers(home, "a")
    cluster = _Cluster("a")
    cluster.broken.add("a")
    ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match="a is gone"):
        await NodeClient(_NODE, ahead).dial("key", asyncio.get_running_loop().time() + 0.5)
    await ahead.end()
    assert cluster.happened[:4] == ["list", "exec a", "listed", "exec a"]


async def test_a_version_is_that_of_the_container_that_was_connected_to(home: LastPods) -> None:
    """Before that, of a pod that was restarted, and of one whose container is not known, there is none."""
    cluster = _Cluster("a")
    for id, known in (("0a" * 32, None), ("0a" * 32, "v0.34.2"), ("0b" * 32, None), ("", None), ("0a" * 32, "v0.34.2")):
        cluster.pods = [cluster.pods[0]._replace(containers=(("buildkitd", f"containerd://{id}"),) if id else ())]
        ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
        node = NodeClient(_NODE, ahead)
        assert node.version is None
        await node.dial("key", asyncio.get_running_loop().time() + 5)
        assert node.version == known
        node.note_version("v0.34.2" if "0a" in id else "no version\n")
        await ahead.end()


@pytest.mark.parametrize("begin", [True, False])
async def test_whoever_lists_again_is_told_by_the_cluster(home: LastPods, begin: bool) -> None:
    """The first list may be one that a watch has kept."""
    _remembers(home, "a")
    cluster = _Cluster("a")
    ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
    if begin:
        ahead.begin()
    for _ in range(3):
        await ahead.list("ns", {"app": "builder"})
    await ahead.list("ns", {"app": "other"})
    await ahead.end()
    assert [one for one in cluster.happened if one.startswith("list ")] == ["list anew"] * 2
    assert cluster.happened.count("list") == 2


async def test_a_builder_in_the_cluster_is_asked_for_before_its_output_is_read(home: LastPods) -> None:
    """Its list is used once: another one is a new one."""
    _remembers(home, "a")
    cluster = _Cluster("a")
    assert await _dialled(cluster, home, begin=True) == "a"
    assert sorted(cluster.happened) == ["exec a", "list", "listed"]
    ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
    ahead.begin()
    await ahead.list("ns", {"app": "builder"})
    await ahead.list("ns", {"app": "builder"})
    assert cluster.happened.count("listed") == 3
    await ahead.end()


async def test_what_was_begun_for_a_node_that_is_no_more_is_closed(home: LastPods) -> None:
    """The builder has changed since."""
    _remembers(home, "a")
    cluster = _Cluster("a")
    ahead = AheadPods(cluster, home, "key")  # type: ignore[arg-type]
    ahead.begin()
    await until(lambda: cluster.opened)
    await ahead.list("ns", {"app": "other"})
    await ahead.end()
    assert [one.closed for one in cluster.opened] == [True]
