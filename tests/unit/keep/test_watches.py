"""Pods that the keeper watches: when a command is given what a watch has told, and when it is not."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from buildclient.contract.jsontext import read_json
from buildclient.keep.client import KeptPods
from buildclient.keep.watches import BOUNDS, Held, TooLarge
from buildclient.keep.wire import Get
from buildclient.kube.pod import read_pod
from tests.load import busy
from tests.unit.keep.ground import Ground, pod, until

_LIST = Get("/api/v1/namespaces/space/pods", (("labelSelector", "app=x"),), watched=True)


def _names(held: Held) -> list[str]:
    return [one["metadata"]["name"] for one in read_json(held.body())["items"]]


def test_events_change_the_list() -> None:
    """It is in the API's order; what is no event of a pod changes nothing."""
    held = Held({"metadata": {"resourceVersion": "7"}, "items": [pod("b"), pod("d"), 7, {}]})
    assert held.version == "7"
    assert _names(held) == ["b", "d"]
    for kind, name in (("ADDED", "a"), ("ADDED", "c"), ("DELETED", "d"), ("DELETED", "e"), ("MODIFIED", "b")):
        held.take({"type": kind, "object": pod(name)})
    odd: list[Any] = [{}, {"type": "ADDED"}, {"type": "ADDED", "object": 5}, {"type": 3, "object": pod("z")}]
    for event in (*odd, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}):
        held.take(event)
    assert _names(held) == ["a", "b", "c"]


def test_what_is_held_reads_as_what_was_listed() -> None:
    """All that a command looks at, and not the rest."""
    full = {
        "metadata": {
            "name": "p", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": ["x" * 4000],
            "ownerReferences": [{"controller": True, "apiVersion": "apps/v1", "kind": "R", "name": "r", "uid": "u"}],
        },
        "spec": {"nodeName": "m", "volumes": ["x" * 4000]},
        "status": {
            "phase": "Running", "reason": "Evicted", "message": "The node was low",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [{"name": "c", "containerID": "containerd://1", "state": {"running": {}}}],
            "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}],
        },
    }  # fmt: skip
    unready = {**full, "status": {**full["status"], "conditions": []}}
    for raw in (full, unready, {**unready, "status": {"reason": "Evicted"}}, {"metadata": {"name": "p"}, "status": 3}):
        held = Held({"items": [raw]})
        assert [read_pod(one) for one in read_json(held.body())["items"]] == [read_pod(raw)]
        assert len(held.body()) < 1000


def test_no_more_is_held_than_that() -> None:
    """A list or an event that is too large ends the watch; pods that go make room."""
    size = len(json.dumps(pod("a")))
    with pytest.raises(TooLarge):
        Held({"items": [pod(f"pod-{number}") for number in range(100)]}, 20 * size)
    held = Held({}, 20 * size)
    for number in range(200):
        held.take({"type": "ADDED", "object": pod(f"pod-{number}")})
        held.take({"type": "MODIFIED", "object": pod(f"pod-{number}", ready=False)})
        held.take({"type": "DELETED", "object": pod(f"pod-{number}")})
    with pytest.raises(TooLarge):
        held.take({"type": "ADDED", "object": pod("a", padding="x" * 20 * size)})


async def _listed(ground: Ground, command: KeptPods | None = None) -> tuple[list[str], bool]:
    """The ready pods of a command's first list, and whether it was given without asking the cluster."""
    before = ground.cluster.lists
    pods = await (command or ground.command()).recent("space", {"app": "x"})
    return sorted(one.name for one in pods if one.ready), ground.cluster.lists == before


async def _watching(ground: Ground, **settings: Any) -> None:
    """A keeper whose watch is there."""
    await ground.start(ground.made(60, [_LIST], **settings))
    await until(lambda: len(ground.cluster.watches) == 1)


async def test_the_first_list_of_a_command_takes_no_request(ground: Ground) -> None:
    """Every other one does: whoever asks again has a reason."""
    await _watching(ground)
    assert "labelSelector=app%3Dx&resourceVersion=7&allowWatchBookmarks=true" in ground.cluster.asked[0]
    command = ground.command()
    assert await _listed(ground, command) == (["pod-0"], True)
    before = ground.cluster.lists
    await command.list("space", {"app": "x"})
    await command.list("space", {"app": "x"})
    assert ground.cluster.lists == before + 2


async def test_what_happens_is_seen(ground: Ground) -> None:
    """Pods that come, that are not ready any more, that go."""
    await _watching(ground)
    for kind, raw, names in (
        ("ADDED", pod("pod-1"), ["pod-0", "pod-1"]),
        ("MODIFIED", pod("pod-0", ready=False), ["pod-1"]),
        ("DELETED", pod("pod-1"), []),
    ):
        await ground.cluster.tell(kind, raw)
        await asyncio.sleep(0.05)
        assert await _listed(ground) == (names, True)


async def test_a_list_that_is_not_watched_yet_is_read_and_watched_from_then_on(ground: Ground) -> None:
    """Of other labels as well, each by a watch of its own; a list of all pods is not."""
    await ground.start()
    assert await _listed(ground) == (["pod-0"], False)
    await until(lambda: len(ground.cluster.watches) == 1)
    await asyncio.sleep(0.05)
    assert await _listed(ground) == (["pod-0"], True)
    await ground.command().recent("space", {"app": "y"})
    await until(lambda: len(ground.cluster.watches) == 2)
    await ground.command().list("space", {"app": "z"})
    await asyncio.sleep(0.05)
    assert len(ground.cluster.watches) == 2


async def test_there_are_no_more_watches_than_that(ground: Ground) -> None:
    """The one that was not used for the longest gives way."""
    await ground.start(ground.made(60, bounds=BOUNDS._replace(most=2)))
    for name in ("x", "y", "x", "z"):
        await ground.command().recent("space", {"app": name})
        await until(lambda name=name: f"app%3D{name}&" in "".join(ground.cluster.asked))  # type: ignore[misc]
        await asyncio.sleep(0.05)
    assert [one.state.name for one in ground.cluster.watches] == ["OPEN", "CLOSED", "OPEN"]


async def test_a_watch_that_is_cut_does_not_count(ground: Ground) -> None:
    """The cluster is asked until the next one is there, and what happened in between is known then."""
    await _watching(ground)
    ground.cluster.watch_status = 503
    ground.cluster.pods = [pod("pod-1")]
    ground.cluster.watches[0].transport.abort()
    await until(lambda: len(ground.cluster.asked) > 1)
    assert await _listed(ground) == (["pod-1"], False)
    ground.cluster.watch_status = 200
    await until(lambda: len(ground.cluster.watches) == 2)
    await asyncio.sleep(0.05)
    assert await _listed(ground) == (["pod-1"], True)


async def test_a_watch_of_a_network_that_is_gone_does_not_count(ground: Ground) -> None:
    """Nothing is heard from it, not even the answer to a ping; a list shows what is there."""
    await _watching(ground, bounds=BOUNDS._replace(ping_interval=busy(0.1)))
    for _ in range(3):
        await asyncio.sleep(busy(0.1))
        assert await _listed(ground) == (["pod-0"], True)
    ground.cluster.watches[0].transport.pause_reading()
    ground.cluster.pods = [pod("pod-1")]
    await asyncio.sleep(busy(0.3))
    assert await _listed(ground) == (["pod-1"], False)


async def test_a_watch_without_bookmarks_does_not_count_for_long(ground: Ground) -> None:
    """The connection may be well, and the API server behind."""
    await _watching(ground, bounds=BOUNDS._replace(heard=busy(0.5)))
    await ground.cluster.tell("BOOKMARK", {"metadata": {"resourceVersion": "8"}})
    assert await _listed(ground) == (["pod-0"], True)
    await asyncio.sleep(busy(0.6))
    assert await _listed(ground) == (["pod-0"], False)
    await ground.cluster.tell("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    await asyncio.sleep(0.05)
    assert await _listed(ground) == (["pod-0"], True)


async def test_a_machine_that_has_slept_lists_and_watches_anew(ground: Ground) -> None:
    """What was told meanwhile may still be in its sockets."""
    slept = 0.0
    await _watching(ground, clock=lambda: time.time() + slept)
    assert await _listed(ground) == (["pod-0"], True)
    slept = 3600.0
    ground.cluster.pods = [pod("pod-1")]
    assert await _listed(ground) == (["pod-1"], False)
    await until(lambda: len(ground.cluster.watches) == 2)
    await asyncio.sleep(0.05)
    assert await _listed(ground) == (["pod-1"], True)


async def test_pods_are_listed_anew_from_time_to_time(ground: Ground) -> None:
    """Rights that were taken away end no watch, but are missed then: the cluster says so to the command itself."""
    await _watching(ground, bounds=BOUNDS._replace(longest=0.3))
    await until(lambda: len(ground.cluster.watches) == 2)
    assert ground.cluster.lists == 2
    ground.cluster.status = 403
    await until(lambda: ground.cluster.watches[1].state.name == "CLOSED")
    with pytest.raises(Exception, match=r"forbidden"):
        await ground.command().recent("space", {"app": "x"})


async def test_without_the_right_to_watch_every_command_lists(ground: Ground) -> None:
    """It is tried once, and ends nothing."""
    ground.cluster.watch_status = 403
    await ground.start(ground.made(60, [_LIST]))
    await until(lambda: len(ground.cluster.asked) == 1)
    for _ in range(2):
        assert await _listed(ground) == (["pod-0"], False)
    await asyncio.sleep(1.2)
    assert len(ground.cluster.asked) == 1
    assert not ground.keep.ended.is_set()


async def test_refused_credentials_of_a_watch_end_the_keeper(ground: Ground) -> None:
    """As those of a list or a tunnel do."""
    ground.cluster.watch_status = 401
    await ground.start()
    assert await _listed(ground) == (["pod-0"], False)
    assert "refuses" in await ground.gone()


@pytest.mark.parametrize(
    "said",
    [
        '{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}',
        "what?",
        "[]",
        json.dumps({"type": "ADDED", "object": pod("b", padding="x" * 9000)}),
    ],
)
async def test_a_watch_that_says_what_is_no_event_does_not_count(ground: Ground, said: str) -> None:
    """Nor one that tells more than is held: the pods are listed."""
    await _watching(ground, bounds=BOUNDS._replace(size=8000))
    ground.cluster.pods = [pod("pod-1")]
    await ground.cluster.watches[0].send(said)
    await until(lambda: ground.cluster.watches[0].state.name == "CLOSED")
    assert await _listed(ground) == (["pod-1"], False)
    assert not ground.keep.ended.is_set()
