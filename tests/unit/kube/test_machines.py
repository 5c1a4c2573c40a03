"""Pods on machines that are cordoned or under pressure, for clients that may read nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import Pod, describe_pods
from buildclient.kube.pods import KubernetesPods
from buildclient.nodes.choice import usable
from tests.registries import Asked, web_server


def _node(name: str, *on: str, cordoned: bool = False) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", *on)]
    spec = {"unschedulable": True} if cordoned else {}
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"conditions": [*conditions, {"type": "PIDPressure", "status": "Unknown"}]},
    }


def _pod(name: str, node: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"conditions": [ready]}}


async def _listed(nodes: list[dict[str, Any]], status: int = 200, machines: bool = True) -> tuple[list[Pod], list[str]]:
    """Two pods, on nodes x and y, as they are listed; and what the API server was asked."""

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path.startswith("/api/v1/nodes"):
            return status, {}, json.dumps({"items": nodes, "message": "no"}).encode()
        return 200, {}, json.dumps({"items": [_pod("a", "x"), _pod("b", "y")]}).encode()

    seen: list[Asked] = []
    with web_server(answer, seen) as host:
        pods = KubernetesPods(KubeApi(Access(f"http://{host}", "c"), {}), machines=machines)
        found = await pods.list("space", {"app": "x"})
    return list(found), sorted(asked.path.partition("?")[0] for asked in seen)


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (_node("x", cordoned=True), "is cordoned"),
        (_node("x", "DiskPressure"), "is under disk pressure"),
        (_node("x", "MemoryPressure"), "is under memory pressure"),
    ],
)
async def test_a_pod_on_a_machine_that_is_going_gets_no_build(node: dict[str, Any], why: str) -> None:
    """It is told why; the other one takes all."""
    pods, _ = await _listed([node, _node("y")])
    assert [pod.name for pod in usable(pods)] == ["b"]
    assert describe_pods([pods[0]]) == f"a: node x {why}"


async def test_where_every_machine_is_going_builds_go_on() -> None:
    """A pod that works is better than none."""
    pods, _ = await _listed([_node("x", cordoned=True), _node("y", "DiskPressure")])
    assert [pod.name for pod in usable(pods)] == ["a", "b"]


async def test_without_the_right_the_pods_are_as_listed() -> None:
    """403 is passed over."""
    pods, asked = await _listed([_node("x", cordoned=True)], status=403)
    assert len(usable(pods)) == 2
    assert asked == ["/api/v1/namespaces/space/pods", "/api/v1/nodes"]


async def test_nodes_are_read_only_where_that_is_asked_for() -> None:
    """No request more in any other build."""
    pods, asked = await _listed([_node("x", cordoned=True)], machines=False)
    assert len(usable(pods)) == 2
    assert asked == ["/api/v1/namespaces/space/pods"]
