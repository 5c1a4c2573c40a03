"""Why a workload has no ready pods, from what an API server answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from buildclient.kube.api import ApiError, KubeApi
from buildclient.kube.reasons import read_pulls, read_reasons

COMBINED = "(combined from similar events): "


class _Api:
    """Answers by the last part of a path; what is not there is forbidden."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def read(self, path: str, query: Mapping[str, str], what: str) -> dict[str, Any]:
        for name, answer in self._answers.items():
            if name in path.split("/"):
                return cast(dict[str, Any], answer)
        raise ApiError("forbidden", 403)


def reasons(**answers: Any) -> tuple[str, ...]:
    """The reasons for Deployment `n`."""
    return read_reasons(cast(KubeApi, _Api(**answers)), "ns", "Deployment", "n")


def event(about: str, reason: str, message: str, at: str = "") -> dict[str, Any]:
    """A warning."""
    return {"involvedObject": {"name": about}, "reason": reason, "message": message, "lastTimestamp": at}


def test_conditions_come_first_then_pods_then_events_each_once() -> None:
    """A failure to make pods tells most; the same words of several pods are said once."""
    pod = {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}}
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    assert reasons(
        deployments={"status": {"conditions": [failure]}},
        pods={"items": [pod, pod]},
        events={
            "items": [
                event("n-1", "FailedMount", "old", "2026-01-01T00:00:00Z"),
                event("n-1", "FailedCreate", 'pod "n-1-x" is bad', "2026-01-02T00:00:00Z"),
                event("n-2", "FailedCreate", f'{COMBINED}pod "n-2-y" is bad', "2026-01-02T00:00:01Z"),
                event("other", "FailedCreate", "not ours"),
            ]
        },
    ) == ("FailedCreate: exceeded quota", "Unschedulable", 'FailedCreate: pod "n-…" is bad', "FailedMount: old")


def test_what_may_not_be_read_is_left_out() -> None:
    """A CI job may see pods and nothing else."""
    assert reasons() == ()
    assert reasons(pods={"items": [{"status": {"phase": "Failed", "reason": "Evicted"}}]}) == ("Evicted",)


def test_an_image_that_is_pulled_is_told_until_it_is_there() -> None:
    """The latest event of each pod that is asked for; nothing where events may not be read."""
    events = [
        event("n-1", "Pulling", 'Pulling image "a"', "2026-01-01T00:00:00Z"),
        event("n-1", "Scheduled", "assigned", "2026-01-01T00:00:09Z"),
        event("n-2", "Pulled", 'Successfully pulled image "a"', "2026-01-01T00:00:05Z"),
        event("n-2", "Pulling", 'Pulling image "a"', "2026-01-01T00:00:00Z"),
        event("other", "Pulling", 'Pulling image "b"', "2026-01-01T00:00:00Z"),
    ]
    api = cast(KubeApi, _Api(events={"items": [*events, 1, {"involvedObject": []}]}))
    assert read_pulls(api, "ns", ["n-1", "n-2"]) == {"n-1": 'Pulling image "a"'}
    assert read_pulls(cast(KubeApi, _Api()), "ns", ["n-1"]) == {}
