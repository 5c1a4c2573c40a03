"""A question to every pod of a builder: who is asked, who answers, and what is said of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.contract.output import NodeOutput
from buildclient.kube.pod import Pod
from buildclient.nodes.ask import each_pod


class _Daemon:
    def __init__(self, name: str, closed: list[str]) -> None:
        self.name, self.closed = name, closed

    async def close(self) -> None:
        self.closed.append(self.name)


class _Node:
    """A node whose pods are told by their names: `gone` cannot be connected to."""

    def __init__(self, name: str, *pods: Pod, error: str = "", address: str = "") -> None:
        self.node = NodeOutput(name, "ns", address=address)
        self.listed, self.error = pods, error
        self.pods = self
        self.closed: list[str] = []

    async def list(self) -> Sequence[Pod]:
        if self.error:
            raise UnreachableError(self.error)
        return self.listed

    async def connect_to(self, pod: Pod, deadline: float) -> Any:
        if pod.name == "gone":
            raise UnreachableError("gone is gone")
        return _Daemon(pod.name, self.closed)


def pod(name: str, *, ready: bool = True, terminating: bool = False) -> Pod:
    """A pod."""
    return Pod(name, "ns", ready, terminating)


async def _name(control: Any, deadline: float) -> str:
    if control.name == "broken":
        raise BuildFailed("it broke")
    if control.name == "mute":
        await asyncio.sleep(60)
    return f"I am {control.name}"


async def test_every_ready_pod_of_every_node_is_asked() -> None:
    """Whoever cannot answer has an error or nothing in its place; every connection is ended."""
    one = _Node(
        "one", pod("a"), pod("gone"), pod("broken"), pod("mute"), pod("b", ready=False), pod("c", terminating=True)
    )
    nodes: list[Any] = [one, _Node("two", error="forbidden"), _Node("three", address="tcp://d:1")]
    answers = await asyncio.wait_for(each_pod(nodes, _name, 0.1, grace=0.05), 5)
    assert [(answer.node.name, answer.error) for answer in answers] == [
        ("one", ""),
        ("two", "forbidden"),
        ("three", ""),
    ]
    assert [(found.pod.name, found.answer, found.error) for found in answers[0].pods] == [
        ("a", "I am a", ""),
        ("gone", None, "gone is gone"),
        ("broken", None, "it broke"),
        ("mute", None, "the daemon did not answer within 0.1 s"),
        ("b", None, ""),
        ("c", None, ""),
    ]
    assert [found.answer for found in answers[2].pods] == ["I am tcp://d:1"]
    assert sorted(one.closed) == ["a", "broken", "mute"]
