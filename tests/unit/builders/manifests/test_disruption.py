"""A pod that is to stop finishes its builds, and few of a node's pods are evicted at a time."""

from __future__ import annotations

from typing import Any

import pytest
from buildkit_builders.manifests import companions, node_objects
from buildkit_builders.options.problems import Problems
from buildkit_builders.spec import NodeSpec, check_node


def _checked(**options: Any) -> tuple[NodeSpec, list[str]]:
    problems = Problems()
    node = check_node("b", {"namespace": "n", "driver-opts": options}, problems)
    return node, [str(problem) for problem in problems.found]


def _budget(**options: Any) -> dict[str, Any]:
    node, problems = _checked(**options)
    assert not problems
    found: dict[str, Any] = companions(node)[0].manifest["spec"]
    return found


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"replicas": 9, "disruption-budget.max-unavailable": "25%"}, {"maxUnavailable": "25%"}),
        ({"disruption-budget.max-unavailable": 0}, {"maxUnavailable": 0}),
        ({"disruption-budget.min-available": "2"}, {"minAvailable": 2}),
    ],
)
def test_a_budget_has_one_limit(options: dict[str, Any], limit: dict[str, Any]) -> None:
    """One pod at a time, or what is asked for; a pod that is not ready holds up nothing."""
    selector = {"matchLabels": {"app": "b"}}
    assert _budget(**options) == {**limit, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}


def test_a_budget_may_be_left_out() -> None:
    """Then there is none."""
    node, problems = _checked(**{"disruption-budget.enabled": "false"})
    assert not problems
    assert companions(node) == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"disruption-budget.max-unavailable": "101%"}, "give a number of pods, or a share"),
        ({"disruption-budget.max-unavailable": 1.5}, "give a number of pods, or a share"),
        ({"disruption-budget.max-unavailable": 1, "disruption-budget.min-available": 1}, "has one of both"),
        ({"disruption-budget.enabled": False, "disruption-budget.min-available": 1}, "there is no budget"),
    ],
)
def test_what_is_no_budget_is_refused(options: dict[str, Any], words: str) -> None:
    """In one line that says what to give."""
    _, problems = _checked(**options)
    assert len(problems) == 1
    assert words in problems[0]


def test_a_pod_waits_for_its_builds() -> None:
    """For ten minutes at most, in a hook before BuildKit's signal; both can be had otherwise."""
    spec = node_objects(_checked()[0])[-1].manifest["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 600
    assert "debug histories" in spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    node, _ = _checked(**{"termination-grace-period": "30s", "wait-for-builds": "false"})
    spec = node_objects(node)[-1].manifest["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 30
    assert "lifecycle" not in spec["containers"][0]


def test_what_is_waited_for_follows_the_kind_of_workload() -> None:
    """A StatefulSet's update waits for the pods that finish their builds, a Deployment's does not; a deletion does."""
    deployment = node_objects(_checked(timeout="60s")[0])[-1]
    assert (deployment.ready_within, deployment.updated_within, deployment.gone_within) == (60, 0, 600)
    persistent = _checked(**{"timeout": "60s", "persistent-volume-claim.requests.storage": "1Gi"})[0]
    assert node_objects(persistent)[-1].updated_within == 660


def test_pods_that_hold_a_port_of_their_machine_do_not_surge() -> None:
    """The successor would find the port taken."""
    own = {"endpoint.secret": "s", "endpoint.client-ca": "c"}

    def rolling(**options: Any) -> Any:
        return node_objects(_checked(**options)[0])[-1].manifest["spec"]["strategy"]["rollingUpdate"]

    assert rolling(**own) == rolling(hostnetwork=True) == {"maxSurge": 1, "maxUnavailable": 0}
    assert rolling(hostnetwork=True, **own) == {"maxSurge": 0, "maxUnavailable": 1}
