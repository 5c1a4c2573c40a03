"""A question to every pod of a builder: who is asked, who answers, and what is said of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from buildclient.base.errors import BuildFailed, UnreachableError
from buildclient.contract.output import NodeOutput
from buildclient.kube.pod import Owner, Pod
from buildclient.nodes.ask import ask_pods, each_pod


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
    answers = await asyncio.wait_for(each_pod(nodes, _name, 0.5, grace=0.05), 30)
    assert [(answer.node.name, answer.error) for answer in answers] == [
        ("one", ""),
        ("two", "forbidden"),
        ("three", ""),
    ]
    assert [(found.pod.name, found.answer, found.error) for found in answers[0].pods] == [
        ("a", "I am a", ""),
        ("gone", None, "gone is gone"),
        ("broken", None, "it broke"),
        ("mute", None, "the daemon did not answer within 0.5 s"),
        ("b", None, ""),
        ("c", None, ""),
    ]
    assert [found.answer for found in answers[2].pods] == ["I am tcp://d:1"]
    assert sorted(one.closed) == ["a", "broken", "mute"]


async def test_of_a_thousand_pods_no_more_are_asked_at_once_than_a_process_has_descriptors() -> None:
    """All of them are asked in the end, and each has its time from its turn on."""
    asking = most = 0

    async def ask(control: Any, deadline: float) -> float:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        await asyncio.sleep(0.001)
        asking -= 1
        return deadline

    node: Any = _Node("one", *(pod(f"p{number}") for number in range(1000)))
    found = await ask_pods(node, ask, 60)
    assert most == 64
    deadlines = [answer.answer for answer in found.pods if answer.answer is not None]
    assert len(deadlines) == 1000
    assert max(deadlines) > min(deadlines)


async def test_a_few_pods_of_many_are_some_of_each_owner_s() -> None:
    """While a workload rolls, both its versions are seen; pods that are not asked are there all the same."""
    old, new = (Owner("apps/v1", "ReplicaSet", name, name) for name in ("old", "new"))
    pods = [pod(f"o{number}")._replace(owner=old) for number in range(20)]
    pods += [pod(f"n{number}")._replace(owner=new) for number in range(2)]
    node: Any = _Node("one", *pods, pod("not-ready", ready=False))
    found = await ask_pods(node, _name, 60, most=5)
    assert len(found.pods) == 23
    assert sorted(one.pod.name for one in found.pods if one.answer) == ["n0", "n1", "o0", "o1", "o2"]
