"""The way to a node when pods come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from buildclient.base.errors import ConfigurationError, UnreachableError
from buildclient.contract.output import NodeOutput
from buildclient.kube.pod import Pod
from buildclient.nodes.node import NodeClient


class _Endpoint:
    description = "there"

    def __init__(self, pods: _Pods, pod: Pod) -> None:
        self._pods, self._pod = pods, pod

    async def connect(self, deadline: float) -> Any:
        self._pods.tried.append(self._pod.name)
        raise UnreachableError(f"{self._pod.name} is gone")


class _Pods:
    def __init__(self, *pods: Pod) -> None:
        self.pods = list(pods)
        self.tried: list[str] = []

    async def list(self, namespace: str, selector: Mapping[str, str]) -> Sequence[Pod]:
        return self.pods

    async def wait_ready(self, *arguments: Any) -> Sequence[Pod]:
        raise UnreachableError("none became ready")

    async def reasons(self, namespace: str, kind: str, name: str) -> Sequence[str]:
        return ()

    def endpoint(self, pod: Pod, container: str) -> Any:
        return _Endpoint(self, pod)


def pod(name: str, *, ready: bool = True, terminating: bool = False) -> Pod:
    """A pod."""
    return Pod(name, "ns", ready, terminating)


def soon() -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + 5


async def test_another_pod_is_tried_when_the_chosen_one_is_gone() -> None:
    """A pod may go away between the list and the exec: the others are tried, each once, never a terminating one."""
    pods = _Pods(pod("a"), pod("b"), pod("c", ready=False), pod("d", terminating=True))
    with pytest.raises(UnreachableError, match="is gone"):
        await NodeClient(NodeOutput("n", "ns"), pods).open("key", soon())
    assert sorted(pods.tried) == ["a", "b"]


async def test_without_a_ready_pod_the_wait_decides() -> None:
    """With no pod ready, the error is that of the wait."""
    with pytest.raises(UnreachableError, match="none became ready"):
        await NodeClient(NodeOutput("n", "ns"), _Pods(pod("a", ready=False))).open("key", soon())


async def test_an_address_that_is_none_is_the_configurations_fault() -> None:
    """An output made by hand was never checked."""
    node = NodeOutput("n", address="docker-container://x")
    for connect in (NodeClient(node, None).open, NodeClient(node, None).dial):
        with pytest.raises(ConfigurationError, match="node n: address docker-container://x: must be unix://PATH"):
            await connect("key", soon())


async def test_a_pod_by_its_address_is_asked_of_its_cluster() -> None:
    """By its name alone: nothing is listed and nothing is waited for."""
    pods = _Pods()
    node = NodeClient(NodeOutput("n", address="kube-pod://p?namespace=other"), pods)
    with pytest.raises(UnreachableError, match="p is gone"):
        await node.dial("key", soon())
    assert pods.tried == ["p"]


async def test_a_byte_stream_falls_back_to_another_pod_too() -> None:
    """As a build does."""
    pods = _Pods(pod("a"), pod("b"))
    with pytest.raises(UnreachableError, match="is gone"):
        await NodeClient(NodeOutput("n", "ns"), pods).dial("key", soon())
    assert sorted(pods.tried) == ["a", "b"]
