"""Which pod takes a build when some do not answer."""

from __future__ import annotations

import asyncio

import pytest

from buildclient.base.errors import ConfigurationError, DaemonLost, UnreachableError
from buildclient.kube.pod import Pod, read_pod
from buildclient.nodes.race import race

PODS = [Pod(name, "ns", ready=True, terminating=False) for name in "abc"]


async def _race(head_start: float = 0.05, **faults: Exception | float) -> tuple[str, list[str], list[str]]:
    """Who answered, who was asked and whose connection was closed; a number is the seconds that a pod takes."""
    asked: list[str] = []
    closed: list[str] = []

    async def connect(pod: Pod, until: float) -> str:
        asked.append(pod.name)
        fault = faults.get(pod.name, 0.0)
        if isinstance(fault, Exception):
            raise fault
        await asyncio.sleep(fault)
        return pod.name

    async def close(name: str) -> None:
        closed.append(name)

    pod, found = await race(PODS, connect, close, 0.0, head_start=head_start)
    assert pod.name == found
    return found, asked, closed


async def test_the_first_pod_is_asked_alone() -> None:
    """One that answers in time costs no other connection."""
    assert await _race(head_start=5.0) == ("a", ["a"], [])


async def test_a_slow_pod_is_not_waited_for_alone() -> None:
    """The next one is asked beside it, and one that is gone is skipped at once."""
    assert await _race(a=5.0, b=DaemonLost("gone")) == ("c", ["a", "b", "c"], [])


async def test_the_error_is_the_one_that_says_what_to_do() -> None:
    """A daemon that is silent before one that is gone; a missing permission ends it at once."""
    silent = DaemonLost("silent", silent=True)
    with pytest.raises(DaemonLost, match="silent"):
        await _race(a=DaemonLost("gone"), b=silent, c=UnreachableError("no buildctl"))
    with pytest.raises(ConfigurationError, match="forbidden"):
        await _race(a=ConfigurationError("forbidden"))


def test_a_pod_whose_eviction_is_decided_takes_no_build() -> None:
    """Its condition says so before it has a time of deletion."""
    ready = {"type": "Ready", "status": "True"}
    pod = read_pod({"status": {"conditions": [ready, {"type": "DisruptionTarget", "status": "True"}]}})
    assert pod.ready
    assert pod.terminating
    assert not read_pod(
        {"status": {"conditions": [ready, {"type": "DisruptionTarget", "status": "False"}]}}
    ).terminating
