"""Nodes that the cluster scales: by Kubernetes' autoscaler, by KEDA's object, and to no pods and back.

The image that takes a node to zero is built by the client from the repository's Dockerfile, with this machine's Python.
The test makes the CronJob's jobs itself instead of waiting for their time.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from buildkit_builders import manifests
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import check_node

from tests.cluster.client_image import build_client_image
from tests.cluster.held import held, release
from tests.cluster.infra_project import is_stored
from tests.cluster.scaling_builder import ScalingBuilder, scaled_object_kind, scaling_builder
from tests.load import busy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_POD = {
    "nodeselector": "kubernetes.io/arch=amd64",
    "requests.cpu": "20m",
    "requests.memory": "16Mi",
    "termination-grace-period": "5s",
}
_RESTING = {
    **_POD,
    "scale-to-zero.after": "1s",
    "scale-to-zero.schedule": "0 0 1 1 *",
    "autoscale.max-replicas": 2,
}
_AUTOSCALED = {
    **_POD,
    "autoscale.max-replicas": 5,
    "autoscale.min-replicas": 2,
    "autoscale.cpu": 70,
    "autoscale.memory": "60%",
    "autoscale.scale-down-after": "15m",
    "autoscale.behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
    "autoscale.metrics": [
        {
            "type": "External",
            "external": {"metric": {"name": "waiting"}, "target": {"type": "AverageValue", "averageValue": "2"}},
        }
    ],
}
_KEDA: dict[str, Any] = {
    **_POD,
    "autoscale.max-replicas": 3,
    "autoscale.keda": {"cooldownPeriod": 60, "triggers": [{"type": "cron", "metadata": {"desiredReplicas": 2}}]},
}


class _Made(NamedTuple):
    """The stack with a node of each kind, and what Pulumi printed."""

    builder: ScalingBuilder
    nodes: dict[str, dict[str, Any]]
    printed: str


@pytest.fixture(scope="module")
def made(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Made]:
    """All kinds of nodes in one stack: an autoscaler looks every 15 seconds, while the first test runs."""
    image = {"scale-to-zero.image": f"{cluster['REGISTRY']}/buildclient:test"}
    nodes = {"resting": {**_RESTING, **image}, "autoscaled": _AUTOSCALED, "keda": _KEDA}
    with scaling_builder(tmp_path_factory.mktemp("scaling"), cluster) as builder, scaled_object_kind(builder):
        yield _Made(builder, nodes, builder.up(nodes))
        builder.project.pulumi("destroy", "--yes", "--skip-preview")


def _until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes to be, within so many seconds of a quiet machine."""
    end = time.monotonic() + busy(seconds)
    while not (found := done()) and time.monotonic() < end:
        time.sleep(0.3)
    return found


def _wanted(made: _Made, name: str, kind: str) -> Any:
    """The spec of the object of that kind that scales a node, as it is sent."""
    raw: dict[str, Any] = {"namespace": made.builder.namespace, "driver-opts": made.nodes[name]}
    made_beside = manifests.companions(check_node(name, raw, Problems()))
    return next(child.manifest["spec"] for child in made_beside if child.manifest["kind"] == kind)


def _is_left_alone(autoscaler: Any) -> bool:
    """Whether an autoscaler does nothing, because its workload has no pods."""
    return "ScalingDisabled" in {one.get("reason") for one in autoscaler["status"].get("conditions", ())}


def test_a_node_goes_to_zero_and_back(made: _Made) -> None:
    """A job of the CronJob leaves a node that builds and scales one that does not; builds that come at once start it.

    Whoever may build may start the node. The job's account may list pods, exec, and scale the workload.
    """
    builder = made.builder
    assert builder.rights("resting-to-zero") == {
        ("pods", "list"),
        ("pods/exec", "get create"),
        ("deployments.apps/scale", "get patch"),
    }
    build_client_image(builder.client_environment, builder.folder / "image")
    mark = f"scaling-{uuid.uuid4().hex[:8]}"
    running = builder.start(f"FROM BASE\nRUN {held(mark)}\n")
    assert _until(lambda: '"builds": 1' in builder.client("inspect", "--format=json").out, 20)
    assert "left running: 1 builds are running in resting-" in builder.look("while-building")
    release(mark)
    said = running.communicate(timeout=busy(30))[1]
    assert running.returncode == 0, said
    time.sleep(1.1)

    assert builder.look("idle") == "resting: stopped 1 pods"
    listed = builder.client("ls").out
    assert "at rest" in listed
    assert "0/0-2 ready" in listed

    both = [builder.start(f"FROM BASE\nRUN echo {number}\n") for number in range(2)]
    told = [one.communicate(timeout=busy(60))[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert any("[internal] starting builder resting" in one for one in told)
    assert builder.get("deploy", "resting")["spec"]["replicas"] == 1


def test_what_the_cluster_scales_is_no_drift(made: _Made) -> None:
    """Every field is stored; Kubernetes' autoscaler and a stop scale, which is no drift.

    Without the metrics API a preview has a line of it. One update without the options takes all back: the objects go,
    and the stack's `replicas` count.
    """
    builder = made.builder
    assert "the cluster has no metrics API" in made.printed
    assert "KEDA" not in made.printed
    for node, kind, name in (
        ("autoscaled", "HorizontalPodAutoscaler", "autoscaled"),
        ("keda", "ScaledObject", "keda"),
        ("resting", "CronJob", "resting-to-zero"),
    ):
        assert is_stored(_wanted(made, node, kind), builder.get(kind, name)["spec"]), kind
    told = builder.project.output()["nodes"][1]
    assert (told["replicas"], told["minReplicas"], told["maxReplicas"]) == (2, 2, 5)
    assert builder.client("stop", "--if-idle", "0s").out == "resting: stopped 1 pods\n"
    assert _until(lambda: builder.get("deploy", "autoscaled")["status"].get("readyReplicas") == 2, 40)
    assert _until(lambda: _is_left_alone(builder.get("hpa", "resting")), 20), "an autoscaler starts no node at rest"
    done = builder.project.pulumi("preview", "--refresh", "--expect-no-changes")
    assert done.status == 0, done.output
    assert builder.get("deploy", "resting")["spec"]["replicas"] == 0
    nodes = {"resting": {**_POD, "replicas": 0}, "autoscaled": {**_POD, "replicas": 1}, "keda": _KEDA}
    builder.up(nodes)
    if builder.get("deploy", "autoscaled")["spec"]["replicas"] != 1:
        # The autoscaler goes last, and has looked once more in between.
        builder.up(nodes)
    left = builder.project.objects(builder.namespace, "hpa,scaledobject,cronjob,role,rolebinding,sa")
    assert not [one for one in left if "autoscaled" in one or "to-zero" in one or "wake" in one]
    counts = {name: builder.get("deploy", name)["spec"]["replicas"] for name in made.nodes}
    assert counts == {"resting": 0, "autoscaled": 1, "keda": 1}


@pytest.mark.faults
def test_no_build_is_lost_to_a_stop(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """While a node is stopped whenever nothing runs, each of 30 builds succeeds."""
    over = threading.Event()
    stopped: list[str] = []
    with scaling_builder(tmp_path_factory.mktemp("stops"), cluster) as builder:
        builder.up({"resting": {**_RESTING, "scale-to-zero.image": "registry.invalid/none"}})

        def stop() -> None:
            while not over.is_set():
                stopped.append(builder.client("stop", "--if-idle", "0s").out)

        def build(worker: int) -> list[str]:
            told = []
            for number in range(15):
                time.sleep(number % 4 * 0.6)
                one = builder.start(f"FROM BASE\nRUN sleep 0.3; echo {worker} {number}\n")
                said = one.communicate(timeout=120)[1]
                told += [said] if one.returncode else []
            return told

        stopping = threading.Thread(target=stop)
        stopping.start()
        try:
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(build, range(2))) == [[], []]
        finally:
            over.set()
            stopping.join(60)
    assert sum("stopped 1 pods" in one for one in stopped) > 5
