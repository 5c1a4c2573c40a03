"""The pods' API, against a small apiserver of our own on loopback (the real one: tests/cluster)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from buildclient.base.errors import UnreachableError
from buildclient.kube.api import KubeApi
from buildclient.kube.kubeconfig import Access
from buildclient.kube.pod import read_pod
from buildclient.kube.pods import KubernetesPods
from tests.jsonserver import JsonHandler, served
from tests.load import busy


def soon(seconds: float = 30) -> float:
    """A deadline on the loop's clock."""
    return asyncio.get_running_loop().time() + seconds


def pod(name: str, *, ready: bool = True, version: str = "1", **status: Any) -> dict[str, Any]:
    """A pod as the API gives it."""
    return {
        "metadata": {"name": name, "namespace": "space", "resourceVersion": version},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], **status},
    }


class _Api(JsonHandler):
    lists: ClassVar[list[Any]] = []
    events: ClassVar[list[Any]] = []
    patches: ClassVar[list[Any]] = []
    patch_answers: ClassVar[list[int]] = []
    watches = 0

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        if "watch=1" in self.path:
            type(self).watches += 1
            self.send_response(200)
            self.end_headers()
            for event in self.events:
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
            threading.Event().wait(0.3)
            return
        answer = self.lists[0] if len(self.lists) == 1 else self.lists.pop(0)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        self.answer(status, body)

    def do_PATCH(self) -> None:  # noqa: N802 - the base class names it
        self.patches.append((self.path, self.asked()))
        self.answer(self.patch_answers.pop(0), {"message": "the object has been modified"})


@pytest.fixture
def api() -> Iterator[tuple[type[_Api], KubernetesPods]]:
    """An API whose lists and events a test sets, and the pods read from it."""
    kind = type("Api", (_Api,), {"lists": [], "events": [], "patches": [], "patch_answers": [], "watches": 0})
    with served(kind) as address:
        yield kind, KubernetesPods(KubeApi(Access(f"http://{address}", "test"), {}))


def listed(*pods: dict[str, Any]) -> dict[str, Any]:
    """A list of pods."""
    return {"metadata": {"resourceVersion": "7"}, "items": list(pods)}


async def test_waiting_watches_until_enough_are_ready(api: tuple[type[_Api], KubernetesPods]) -> None:
    """The wait ends with the event that makes a pod ready, and told each state before."""
    kind, pods = api
    kind.lists[:] = [listed(pod("a", ready=False))]
    kind.events[:] = [
        {"type": "MODIFIED", "object": pod("a", ready=False, phase="Pending")},
        {"type": "MODIFIED", "object": pod("a")},
    ]
    told: list[list[bool]] = []
    found = await pods.wait_ready("space", {"app": "x"}, 1, soon(), lambda all_: told.append([p.ready for p in all_]))
    assert [p.name for p in found] == ["a"]
    assert told == [[False], [False], [True]]


async def test_a_list_that_is_too_old_is_read_anew(api: tuple[type[_Api], KubernetesPods]) -> None:
    """410 Gone in a watch leads to a fresh list."""
    kind, pods = api
    kind.lists[:] = [listed(), listed(pod("b"))]
    kind.events[:] = [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]
    found = await pods.wait_ready("space", {"app": "x"}, 1, soon())
    assert [p.name for p in found] == ["b"]
    assert kind.watches == 1


async def test_the_deadline_gives_each_pods_reason(api: tuple[type[_Api], KubernetesPods]) -> None:
    """Pods that do not become ready are listed with the cluster's own words."""
    kind, pods = api
    waiting = {"name": "buildkitd", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    kind.lists[:] = [listed(pod("a", ready=False, containerStatuses=[waiting]))]
    with pytest.raises(UnreachableError) as caught:
        await pods.wait_ready("space", {"app": "x"}, 1, soon(busy(0.5)))
    assert "0 of 1 pods with app=x ready" in str(caught.value)
    assert "a: ImagePullBackOff: no such image" in str(caught.value)


async def test_no_pod_at_all_is_said(api: tuple[type[_Api], KubernetesPods]) -> None:
    """An empty list at the deadline names the labels and the namespace."""
    kind, pods = api
    kind.lists[:] = [listed()]
    with pytest.raises(UnreachableError, match=r"no pod carries app=x .*namespace space"):
        await pods.wait_ready("space", {"app": "x"}, 1, soon(busy(0.3)))


@pytest.mark.parametrize(
    ("status", "words"), [(401, "log in again"), (403, "forbidden (RBAC): cannot list"), (500, "cannot list")]
)
async def test_refusals_are_one_line(api: tuple[type[_Api], KubernetesPods], status: int, words: str) -> None:
    """Each refusal names what was wanted and the context."""
    kind, pods = api
    kind.lists[:] = [(status, {"message": "cannot list"})]
    with pytest.raises(UnreachableError) as caught:
        await pods.list("space", {"app": "x"})
    assert words in str(caught.value)
    assert 'namespace space (context "test")' in str(caught.value)


async def test_an_api_that_is_not_there_is_said() -> None:
    """A refused connection names the server."""
    pods = KubernetesPods(KubeApi(Access("http://127.0.0.1:1", "test"), {}))
    with pytest.raises(UnreachableError, match=r"cannot reach http://127\.0\.0\.1:1"):
        await pods.list("space", {"app": "x"})


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]},  # noqa: E501
         "Unschedulable: 0/2 nodes"),
        ({"containerStatuses": [{"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                                 "lastState": {"terminated": {"exitCode": 137}}}]},
         "CrashLoopBackOff: last exit code 137"),
        ({"initContainerStatuses": [{"name": "qemu", "state": {"terminated": {"reason": "Error", "exitCode": 2}}}]},
         "Error: exit code 2"),
        ({"reason": "Evicted", "message": "The node was low on memory"}, "Evicted: The node was low on memory"),
        ({"containerStatuses": [{"name": "b", "ready": False, "state": {"running": {}}}]}, "container b not ready"),
    ],
)  # fmt: skip
def test_why_a_pod_is_not_ready(status: dict[str, Any], reason: str) -> None:
    """The most telling of the cluster's own words is taken."""
    raw = pod("a", ready=False)
    raw["status"] = {"phase": "Pending", **status}
    assert read_pod(raw).reason == reason


async def test_names_are_quoted_in_paths(api: tuple[type[_Api], KubernetesPods]) -> None:
    """Whatever comes as a name stays one part of the path."""
    asked: list[str] = []

    async def note(path: str, query: Any, what: str) -> dict[str, Any]:
        asked.append(path)
        return {}

    pods = api[1]
    pods.api.get = note  # type: ignore[method-assign]
    await pods.list("kube-system/secrets?", {"a": "b"})
    await pods.config_map("../../x", "kube?x#y")
    assert asked == [
        "/api/v1/namespaces/kube-system%2Fsecrets%3F/pods",
        "/api/v1/namespaces/..%2F..%2Fx/configmaps/kube%3Fx%23y",
    ]
    endpoint = pods.endpoint(read_pod({"metadata": {"name": "p/../q?", "namespace": "n/m"}}), "c&d=e")
    assert "/namespaces/n%2Fm/pods/p%2F..%2Fq%3F/exec?" in endpoint._url()  # type: ignore[attr-defined]
    assert "&container=c%26d%3De&" in endpoint._url()  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [None, 1, [], {"conditions": [1, {"type": []}], "containerStatuses": {"a": 1}}])
def test_a_pod_that_is_none_is_not_ready(status: Any) -> None:
    """What an API server answers is read as far as it is what it should be."""
    assert not read_pod({"metadata": 1, "spec": [], "status": status}).ready


async def test_events_that_are_none_end_the_watch_in_a_line(api: tuple[type[_Api], KubernetesPods]) -> None:
    """Not in a wait until the deadline."""
    handler, pods = api
    handler.lists = [{"items": []}]
    handler.events = [[]]
    with pytest.raises(UnreachableError, match="a broken answer"):
        await pods.wait_ready("space", {"app": "b"}, 1, soon())


def scale(replicas: int, version: str) -> dict[str, Any]:
    """A subresource `scale` as the API gives it."""
    return {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}


async def test_a_start_is_of_the_scale_that_was_read(api: tuple[type[_Api], KubernetesPods]) -> None:
    """A patch names the version; where that has changed, the scale is read again, and the number may be another's."""
    kind, pods = api
    kind.lists[:] = [scale(0, "7"), scale(0, "8")]
    kind.patch_answers[:] = [409, 200]
    assert await pods.scale("space", "StatefulSet", "a b", 3, only_from=0) == 0
    path = "/apis/apps/v1/namespaces/space/statefulsets/a%20b/scale?fieldManager=buildclient"
    assert kind.patches == [
        (path, {"spec": {"replicas": 3}, "metadata": {"resourceVersion": version}}) for version in ("7", "8")
    ]
    kind.patches.clear()
    kind.lists[:] = [scale(0, "7"), scale(2, "8")]
    kind.patch_answers[:] = [409]
    assert await pods.scale("space", "Deployment", "b", 3, only_from=0) == 2
    assert len(kind.patches) == 1


async def test_a_scale_that_never_stays_is_given_up(api: tuple[type[_Api], KubernetesPods]) -> None:
    """The conflict is told once a handful of patches have been refused."""
    kind, pods = api
    kind.lists[:] = [scale(0, "7")]
    kind.patch_answers[:] = [409] * 20
    with pytest.raises(UnreachableError, match=r"cannot scale deployment space/b .*has been modified"):
        await pods.scale("space", "Deployment", "b", 3, only_from=0)
    assert len(kind.patches) == 8


@pytest.mark.parametrize(
    ("condition", "since"),
    [
        ({"status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}, 1767225610.0),
        ({"status": "False", "lastTransitionTime": "2026-01-01T00:00:10Z"}, 0.0),
        ({"status": "True", "lastTransitionTime": "yesterday"}, 0.0),
        ({"status": "True"}, 0.0),
    ],
)
def test_a_pod_knows_since_when_it_is_ready(condition: dict[str, Any], since: float) -> None:
    """The condition's last change, in seconds."""
    assert read_pod({"status": {"conditions": [{"type": "Ready", **condition}]}}).ready_since == since


@pytest.mark.parametrize(
    ("statuses", "name", "id"),
    [
        ([{"name": "a", "containerID": "containerd://1", "state": {"running": {}}}], "a", "containerd://1"),
        ([{"name": "a", "containerID": "containerd://1", "state": {"running": {}}}], "", "containerd://1"),
        ([{"name": "a", "containerID": "containerd://1", "state": {"running": {}}}], "b", ""),
        ([{"name": "a", "containerID": "containerd://1", "state": {"terminated": {}}}], "a", ""),
        ([{"name": name, "containerID": name, "state": {"running": {}}} for name in "ab"], "b", "b"),
        ([{"name": name, "containerID": name, "state": {"running": {}}} for name in "ab"], "", ""),
        ([{"name": "a", "containerID": 7, "state": {"running": {}}}, 5, {"state": 3}], "", ""),
        ("none", "", ""),
    ],
)
def test_a_pod_knows_its_running_containers(statuses: object, name: str, id: str) -> None:
    """One that has ended has an id too, which the next one will not have."""
    assert read_pod({"status": {"containerStatuses": statuses}}).container_id(name) == id
