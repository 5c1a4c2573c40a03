"""The autoscaler of a node, and which options go together."""

from __future__ import annotations

from typing import Any

import pytest
from buildkit_builders.manifests import companions, node_objects
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import NodeSpec, check_node

_HPA = {"autoscale.max-replicas": 4, "requests.cpu": "1"}
_KEDA: dict[str, Any] = {
    "autoscale.max-replicas": 4,
    "autoscale.keda": {"triggers": [{"type": "cron", "metadata": {"desiredReplicas": 2, "on": True}}]},
}


def _node(options: dict[str, Any]) -> NodeSpec:
    problems = Problems()
    node = check_node("b", {"namespace": "n", "driver-opts": options}, problems)
    problems.raise_any()
    return node


def _spec(options: dict[str, Any]) -> Any:
    _, child = companions(_node(options))
    return child.manifest["spec"]


def test_an_autoscaler_has_the_number_of_pods_to_itself() -> None:
    """The workload says no `replicas`; CPU of BuildKit's container alone is the metric where none is given."""
    node = _node(_HPA)
    assert "replicas" not in node_objects(node)[-1].manifest["spec"]
    assert _spec(_HPA) == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "b"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "buildkitd",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            }
        ],
    }
    assert [child.role for child in companions(_node({"replicas": 3}))] == ["disruption-budget"]


def test_metrics_and_behavior_are_merged() -> None:
    """Shares and other metrics stand side by side; the window is added to the behavior given."""
    metric = {"type": "External", "external": {"metric": {"name": "waiting"}}}
    behavior = {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    spec = _spec(
        {
            **_HPA,
            "autoscale.cpu": "70%",
            "autoscale.memory": 60.0,
            "requests.memory": "1G",
            "autoscale.metrics": [metric],
            "autoscale.behavior": behavior,
            "autoscale.scale-down-after": "15m",
        }
    )
    shares = [one["containerResource"] for one in spec["metrics"][:2]]
    assert [(one["name"], one["target"]["averageUtilization"]) for one in shares] == [("cpu", 70), ("memory", 60)]
    assert spec["metrics"][2] == metric
    assert spec["behavior"] == {"scaleDown": {**behavior["scaleDown"], "stabilizationWindowSeconds": 900}}


def test_keda_has_a_scaled_object() -> None:
    """Triggers' metadata are texts, a share is a trigger, and the window goes where KEDA has it."""
    given = {**_KEDA, "requests.cpu": "1", "autoscale.cpu": 70, "autoscale.min-replicas": 0}
    given["autoscale.keda"] = {**_KEDA["autoscale.keda"], "cooldownPeriod": 60}
    spec = _spec({**given, "autoscale.scale-down-after": "90s"})
    assert spec["triggers"] == [
        {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70", "containerName": "buildkitd"}},
        {"type": "cron", "metadata": {"desiredReplicas": "2", "on": "true"}},
    ]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 4, 60)
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down == {"stabilizationWindowSeconds": 90}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"autoscale.cpu": 80}, "autoscale.cpu: it needs autoscale.max-replicas, such as 8"),
        (
            {"autoscale.max-replicas": 4},
            "autoscale.cpu: 80 is refused: it is a share of the request: give requests.cpu",
        ),
        ({**_HPA, "autoscale.memory": 80}, "autoscale.memory: 80 is refused: it is a share of the request"),
        ({**_HPA, "autoscale.min-replicas": 5}, "autoscale.min-replicas: 5 is refused: give at most"),
        ({**_HPA, "autoscale.min-replicas": 0}, "keeps at least 1 pod; for none, give scale-to-zero.after"),
        ({**_HPA, "replicas": 3}, "leave out replicas, and give autoscale.min-replicas=3"),
        ({**_HPA, "autoscale.scale-down-after": "2h"}, "give at most 1h"),
        ({**_HPA, "autoscale.cpu": "0"}, "give a percentage of the request, from 1 to 1000"),
        ({**_HPA, "autoscale.behavior": {"down": {}}}, 'autoscale.behavior: "down" is refused: there is no such field'),
        ({**_KEDA, "autoscale.metrics": [{"type": "External"}]}, "KEDA has no such list"),
        ({**_HPA, "autoscale.keda": {"triggers": []}}, "give at least one trigger"),
        ({**_HPA, "autoscale.keda": {"triggers": [{"metadata": {}}]}}, "triggers[0] needs type"),
        ({"scale-to-zero.image": "a"}, "scale-to-zero.image: it needs scale-to-zero.after"),
        ({"scale-to-zero.after": "30m"}, "give the image of the client that looks for builds"),
        ({"scale-to-zero.after": "0.5s"}, "give whole seconds"),
        ({"scale-to-zero.schedule": "often"}, "give five fields of cron"),
        (
            {**_KEDA, "scale-to-zero.after": "30m", "scale-to-zero.image": "a"},
            "KEDA would start the pods again; give autoscale.min-replicas=0",
        ),
        ({"replicas": 0, "scale-to-zero.after": "30m", "scale-to-zero.image": "a"}, "how many pods a build starts"),
    ],
)
def test_what_does_not_go_together_is_told(options: dict[str, Any], told: str) -> None:
    """Each is refused in preview, with what to do."""
    problems = Problems(whole="driver-opts")
    check_node("b", {"namespace": "n", "driver-opts": options}, problems)
    assert told in "\n".join(map(str, problems.found))


@pytest.mark.parametrize("opts", [{"limits.cpu": "2"}, {"default-requests": True}, {"requests.cpu": "1"}])
def test_a_limit_is_a_request_too(opts: dict[str, Any]) -> None:
    """Whatever gives the container a CPU request will do for a share of it."""
    assert _spec({"autoscale.max-replicas": 4, **opts})["metrics"]


def test_clients_are_told_how_many_pods_there_may_be() -> None:
    """The bounds are in the output, and who starts a node without pods."""
    autoscaled = _node({**_HPA, "autoscale.min-replicas": 2}).output()
    assert (autoscaled.replicas, autoscaled.min_replicas, autoscaled.max_replicas) == (2, 2, 4)
    keda = _node({**_KEDA, "autoscale.min-replicas": 0}).output()
    assert (keda.replicas, keda.may_rest, keda.cluster_starts) == (1, True, True)
    resting = _node({"replicas": 3, "scale-to-zero.after": "30m", "scale-to-zero.image": "a"}).output()
    assert (resting.replicas, resting.may_rest, resting.cluster_starts) == (3, True, False)
    assert "minReplicas" not in _node({}).output().to_json()
