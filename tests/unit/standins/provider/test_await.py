"""When the provider stand-in takes an object for ready, and what it says meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from standins.provider.await_.deployment import DeploymentReadiness
from standins.provider.await_.pod import PodReadiness, pod_trouble
from standins.provider.await_.readiness import Following
from standins.provider.await_.service import ServiceReadiness
from standins.provider.await_.simple import ClaimReadiness, JobReadiness, daemon_set_ready
from standins.provider.await_.statefulset import StatefulSetReadiness
from standins.provider.await_.table import readiness_of, seconds_to_wait, waits_for_deletion
from standins.provider.await_.waitfor import BadWaitFor, parse_wait_for

Object = dict[str, Any]


def conditions(**statuses: str) -> list[dict[str, str]]:
    """Status conditions."""
    return [{"type": kind, "status": status, "reason": "R", "message": "M"} for kind, status in statuses.items()]


def deployment(generation: int = 1, revision: str = "1", replicas: int = 1, **status: Any) -> Object:
    """A Deployment as the server gives it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "app",
            "namespace": "ns",
            "uid": "d",
            "generation": generation,
            "annotations": {"deployment.kubernetes.io/revision": revision} if revision else {},
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "app"}}},
        "status": {"observedGeneration": generation, **status},
    }


def replica_set(revision: str, ready: int, replicas: int = 1, name: str = "app-1") -> Object:
    """One of its ReplicaSets."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": f"rs-{revision}",
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": "d"}],
        },
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready},
    }


def pod(name: str, owner: str, *, ready: bool, waiting: dict[str, str] | None = None) -> Object:
    """A pod."""
    state = {"waiting": waiting} if waiting else {"running": {}}
    held = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Initialized", "status": "True"},
        {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "ContainersNotReady",
            "message": "containers with unready status: [main]",
        },
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "ownerReferences": [{"uid": owner}]},
        "status": {"conditions": held, "containerStatuses": [{"name": "main", "ready": ready, "state": state}]},
    }


def fed(follower: Any, *events: tuple[str, Object]) -> Any:
    """The follower after these events."""
    for event, target in events:
        follower.observe(event, target, 0.0)
    return follower


AVAILABLE = conditions(Available="True")
PROGRESSED = [*AVAILABLE, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]


def test_deployment_is_ready_when_its_first_replica_set_is_complete() -> None:
    """Not before the controller has seen it, nor before it is available, nor before its pods are ready."""
    follower = DeploymentReadiness(deployment(revision=""))
    assert not follower.ready(0.0)
    stale = deployment(revision="")
    stale["status"]["observedGeneration"] = 0
    assert not fed(follower, ("ADDED", stale)).ready(0.0)
    fed(follower, ("MODIFIED", deployment(conditions=conditions(Available="False"))), ("ADDED", replica_set("1", 0)))
    assert follower.status() == [("info", "Waiting for app ReplicaSet to be available (0/1 Pods available)")]
    assert not fed(follower, ("MODIFIED", replica_set("1", 1))).ready(0.0)
    assert fed(follower, ("MODIFIED", deployment(conditions=AVAILABLE))).ready(0.0)
    assert follower.status() == [("info", "Deployment initialization complete")]


def test_later_revisions_must_have_progressed() -> None:
    """From the second revision on, the controller must say that the new ReplicaSet is available."""
    follower = DeploymentReadiness(deployment(2, "1", conditions=PROGRESSED))
    fed(follower, ("ADDED", replica_set("1", 1)), ("ADDED", replica_set("2", 1, name="app-2")))
    assert not fed(follower, ("ADDED", deployment(2, "2", conditions=AVAILABLE))).ready(0.0)
    assert fed(follower, ("MODIFIED", deployment(2, "2", conditions=PROGRESSED))).ready(0.0)


def test_scaling_up_waits_for_the_new_pods() -> None:
    """The wanted number is the Deployment's, even while the ReplicaSet still has the old one."""
    follower = DeploymentReadiness(deployment(2, replicas=2, conditions=AVAILABLE))
    fed(follower, ("ADDED", deployment(2, replicas=2, conditions=AVAILABLE)), ("ADDED", replica_set("1", 1)))
    assert not follower.ready(0.0)
    assert fed(follower, ("MODIFIED", replica_set("1", 2, 2))).ready(0.0)


def test_scaling_to_zero_is_ready_without_pods() -> None:
    """Nothing wanted, nothing waited for."""
    follower = DeploymentReadiness(deployment(replicas=0, conditions=AVAILABLE))
    fed(follower, ("ADDED", deployment(replicas=0, conditions=AVAILABLE)), ("ADDED", replica_set("1", 0, 0)))
    assert follower.ready(0.0)


def test_failed_roll_out_names_the_step_and_the_pods() -> None:
    """As recorded: which minimum was not attained, then each pod's container error."""
    bad = pod("app-2-x", "rs-2", ready=False, waiting={"reason": "ImagePullBackOff", "message": "Back-off"})
    follower = fed(
        DeploymentReadiness(deployment(2, "1")),
        ("ADDED", deployment(2, "2", conditions=AVAILABLE)),
        ("ADDED", replica_set("2", 0, name="app-2")),
        ("ADDED", bad),
        ("ADDED", pod("stranger", "other", ready=False)),
    )
    assert follower.problems() == [
        "Minimum number of Pods to consider the application live was not attained",
        "[Pod ns/app-2-x]: containers with unready status: [main][ImagePullBackOff] Back-off",
    ]
    assert fed(follower, ("DELETED", bad)).problems() == follower.problems()[:1]


def test_deployment_that_is_not_available_says_so() -> None:
    """With the condition's own words."""
    follower = fed(DeploymentReadiness(deployment()), ("ADDED", deployment(conditions=conditions(Available="False"))))
    assert follower.problems() == ["[R] M", "Minimum number of live Pods was not attained"]


def test_deleted_objects_are_never_ready() -> None:
    """What is gone is not waited for in vain: the time runs out."""
    follower = fed(DeploymentReadiness(deployment()), ("ADDED", deployment(conditions=AVAILABLE)))
    fed(follower, ("ADDED", replica_set("1", 1)))
    assert follower.ready(0.0)
    assert not fed(follower, ("DELETED", deployment(conditions=AVAILABLE))).ready(0.0)


def stateful_set(generation: int = 1, want: int = 1, /, **status: Any) -> Object:
    """A StatefulSet as the server gives it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "app", "uid": "s", "generation": generation},
        "spec": {"replicas": want},
        "status": {"observedGeneration": generation, **status},
    }


def test_stateful_set_is_ready_when_replicas_and_revision_are() -> None:
    """With the recorded texts on the way."""
    follower = StatefulSetReadiness(stateful_set())
    assert follower.status() == [("info", "[1/2] Waiting for StatefulSet to create Pods (0/0 Pods ready)")]
    fed(follower, ("ADDED", stateful_set(currentRevision="a", updateRevision="a")))
    assert follower.status() == [("info", "[1/2] Waiting for StatefulSet to create Pods (0/1 Pods ready)")]
    done = {"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "currentRevision": "a", "updateRevision": "a"}
    assert fed(follower, ("MODIFIED", stateful_set(**done))).ready(0.0)
    assert follower.status() == [("info", "StatefulSet initialization complete")]


def test_stateful_set_roll_out_waits_for_the_new_revision() -> None:
    """Pods of the old revision do not count."""
    rolling = {"replicas": 2, "readyReplicas": 2, "currentReplicas": 1, "updatedReplicas": 1}
    follower = StatefulSetReadiness(stateful_set(2, 2))
    fed(follower, ("ADDED", stateful_set(2, 2, currentRevision="a", updateRevision="b", **rolling)))
    assert not follower.ready(0.0)
    assert follower.status() == [("info", "[1/3] Waiting for StatefulSet update to roll out (1/2 Pods ready)")]
    assert follower.problems() == [
        "1 out of 2 replicas succeeded readiness checks",
        'StatefulSet controller failed to advance from revision "a" to revision "b"',
    ]


def service(**spec: Any) -> Object:
    """A Service."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"}, "spec": spec}


def endpoints(**subset: Any) -> Object:
    """Its endpoints."""
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "app"}, "subsets": [subset]}


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None", "selector": {"a": "b"}}, {"type": "ExternalName"}, {"clusterIP": "10.0.0.1"}]
)
def test_services_without_pods_of_their_own_are_ready_at_once(spec: dict[str, Any]) -> None:
    """Headless, external, and without a selector."""
    assert fed(ServiceReadiness(service(**spec)), ("ADDED", service(**spec))).ready(0.0)


def test_service_waits_until_its_endpoints_have_settled() -> None:
    """Every change starts the rest anew; endpoints that are not ready hold it up."""
    spec = {"selector": {"a": "b"}, "clusterIP": "10.0.0.1"}
    follower = fed(ServiceReadiness(service(**spec)), ("ADDED", service(**spec)))
    assert not follower.ready(100.0)
    assert follower.status() == [("info", "[1/3] Finding Pods to direct traffic to")]
    follower.observe("ADDED", endpoints(notReadyAddresses=[{"ip": "1"}]), 10.0)
    assert not follower.ready(20.0)
    follower.observe("MODIFIED", endpoints(addresses=[{"ip": "1"}]), 20.0)
    assert not follower.ready(20.5)
    assert follower.wake_at() == 21.0
    assert follower.ready(21.0)
    assert follower.status() == [("info", "Service initialization complete")]


def test_a_refresh_looks_at_a_service_once() -> None:
    """Endpoints count as settled, nothing is looked for, and what is missing is said."""
    headless = {"clusterIP": "None", "selector": {"a": "b"}}
    follower = fed(ServiceReadiness(service(**headless)), ("ADDED", service(**headless)))
    follower.settle()
    assert (follower.ready(0.0), follower.status()) == (True, [])
    spec = {"selector": {"a": "b"}, "clusterIP": "10.0.0.1"}
    follower = fed(ServiceReadiness(service(**spec)), ("ADDED", service(**spec)))
    follower.observe("ADDED", endpoints(notReadyAddresses=[{"ip": "1"}]), 0.0)
    follower.settle()
    assert (follower.ready(0.0), follower.status()) == (False, [])
    assert [text.split(". ")[0] for text in follower.problems()] == ["Service does not target any Pods"]


def test_load_balancer_waits_for_an_address() -> None:
    """And says that it was not given one."""
    spec = {"type": "LoadBalancer", "selector": {"a": "b"}}
    follower = fed(ServiceReadiness(service(**spec)), ("ADDED", service(**spec)))
    follower.observe("ADDED", endpoints(addresses=[{"ip": "1"}]), 0.0)
    assert not follower.ready(100.0)
    assert follower.status() == [("info", "[2/3] Attempting to allocate IP address to Service")]
    assert "not allocated an IP address" in follower.problems()[0]
    given_address = {**service(**spec), "status": {"loadBalancer": {"ingress": [{"ip": "1"}]}}}
    assert fed(follower, ("MODIFIED", given_address)).ready(100.0)


def claim(phase: str) -> Object:
    """A claim in a phase."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("late", "update", "phase", "wanted"),
    [
        (False, False, "Bound", True),
        (False, False, "Pending", False),
        (True, False, "Pending", True),
        (True, False, "Bound", False),
        (True, True, "Bound", True),
        (False, True, "Bound", True),
    ],
)
def test_claims_by_phase_and_binding_mode(late: bool, update: bool, phase: str, wanted: bool) -> None:
    """A class that binds late leaves a new claim pending; an update finds it bound."""
    follower = ClaimReadiness(claim("Pending"), late=late, update=update)
    assert fed(follower, ("ADDED", claim(phase))).ready(0.0) is wanted
    assert bool(follower.status()) is not wanted


def test_job_succeeds_or_says_why_not() -> None:
    """By its conditions."""
    base = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ns"}}
    follower = JobReadiness(base)
    assert follower.status() == [("info", 'Waiting for Job "ns/j" to start')]
    running = {**base, "status": {"startTime": "t", "active": 1}}
    assert fed(follower, ("ADDED", running)).status() == [
        ("info", 'Waiting for Job "ns/j" to succeed (Active: 1 | Succeeded: 0 | Failed: 0)')
    ]
    held = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    assert fed(follower, ("MODIFIED", {**base, "status": {"conditions": [held]}})).problems() == [
        "[BackoffLimitExceeded] too often"
    ]
    done = {**base, "status": {"conditions": conditions(Complete="True")}}
    assert fed(follower, ("MODIFIED", done)).ready(0.0)


def test_pod_is_ready_or_has_succeeded() -> None:
    """Its steps are named on the way."""
    waiting = pod("p", "x", ready=False)
    follower = fed(PodReadiness(waiting), ("ADDED", waiting))
    assert follower.status() == [("info", 'Waiting for Pod "ns/p" to be ready')]
    assert not follower.ready(0.0)
    assert fed(follower, ("MODIFIED", pod("p", "x", ready=True))).ready(0.0)
    ended = pod("p", "x", ready=False)
    ended["status"]["phase"] = "Succeeded"
    assert fed(PodReadiness(ended), ("ADDED", ended)).ready(0.0)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, ""),
        ({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "again"}}}, "[CrashLoopBackOff] again"),
        ({"state": {"terminated": {"reason": "Error", "exitCode": 3}}}, 'container "c" completed with exit code 3'),
        ({"state": {"terminated": {"reason": "OOMKilled", "message": "oom"}}}, "[OOMKilled] oom"),
        (
            {"lastState": {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": "T", "message": "log"}}},
            'container "c" terminated at T (Error: exit code 1)\nlog',
        ),
    ],
)
def test_containers_errors_are_told(status: dict[str, Any], said: str) -> None:
    """As the real provider words them."""
    target = pod("p", "x", ready=False)
    target["status"]["containerStatuses"] = [{"name": "c", "ready": False, **status}]
    [(severity, text)] = pod_trouble(target)
    assert severity == "warning"
    assert text == f"[Pod ns/p]: containers with unready status: [main]{said}"


def test_daemon_set_is_ready_when_every_node_is_served() -> None:
    """All scheduled, updated, available, and seen."""
    target = {
        "metadata": {"generation": 1},
        "status": {
            "observedGeneration": 1,
            "desiredNumberScheduled": 2,
            "updatedNumberScheduled": 2,
            "numberAvailable": 1,
        },
    }
    assert not daemon_set_ready(target, target)
    target["status"]["numberAvailable"] = 2
    assert daemon_set_ready(target, target)


# waitFor and the table


THING = {
    "status": {
        "phase": "Running",
        "ok": True,
        "list": [{"n": 1}, {"n": 2}],
        "a.b": "x",
        "conditions": conditions(Ready="True", Bad="False"),
    }
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath={.status.phase}='Running'", True),
        ("jsonpath={.status.phase}=Other", False),
        ("jsonpath={.status.phase}", True),
        ("jsonpath={.status.none}", False),
        ("jsonpath={.status.ok}=true", True),
        ("jsonpath={.status.list[1].n}=2", True),
        ("jsonpath={.status.list[*].n}=2", True),
        ("jsonpath={.status.list[5].n}=2", False),
        ("jsonpath={.status['a.b']}=x", True),
        ("jsonpath={.status.a\\.b}=x", True),
        ("condition=Ready", True),
        ("condition=Bad", False),
        ("condition=Bad=False", True),
        ("condition=None", False),
    ],
)
def test_wait_for_conditions(text: str, wanted: bool) -> None:
    """Paths and conditions, in kubectl's form."""
    [(_, test)] = parse_wait_for(text)
    assert test(THING) is wanted


@pytest.mark.parametrize("text", ["", "Ready", "jsonpath=.status", "jsonpath={}", "condition=", "[]", '["x=y"]'])
def test_bad_wait_for_is_refused(text: str) -> None:
    """Each with a message of its own."""
    with pytest.raises(BadWaitFor):
        parse_wait_for(text)


def annotated(kind: str, **annotations: str) -> Object:
    """An object of a kind in apps/v1 or v1 with Pulumi's annotations."""
    api = "apps/v1" if kind in ("DaemonSet", "Deployment", "StatefulSet") else "v1"
    held = {f"pulumi.com/{key}": value for key, value in annotations.items()}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "annotations": held}}


def test_what_is_awaited() -> None:
    """`skipAwait` wins over `waitFor`, that over the built-in rules; kinds without a rule are not awaited."""

    def chosen(target: Object, **options: Any) -> Any:
        return readiness_of(target, target, binds_late=lambda: True, **options)

    assert isinstance(chosen(annotated("Deployment")), DeploymentReadiness)
    assert chosen(annotated("ConfigMap")) is None
    assert chosen(annotated("Deployment", skipAwait="true", waitFor="condition=X")) is None
    own = chosen(annotated("Deployment", waitFor="condition=X"))
    assert isinstance(own, Following)
    assert not isinstance(own, DeploymentReadiness)
    assert isinstance(chosen(annotated("Deployment", waitFor="condition=X"), reading=True), DeploymentReadiness)
    assert isinstance(chosen(annotated("PersistentVolumeClaim")), ClaimReadiness)
    assert chosen(annotated("DaemonSet"), reading=True) is not None
    assert chosen(annotated("PersistentVolumeClaim"), reading=True) is None


def test_how_long_is_waited() -> None:
    """`customTimeouts`, else the annotation, else ten minutes."""
    assert seconds_to_wait(5.0, annotated("Pod", timeoutSeconds="7")) == 5.0
    assert seconds_to_wait(0.0, annotated("Pod", timeoutSeconds="7")) == 7.0
    assert seconds_to_wait(0.0, annotated("Pod", timeoutSeconds="soon")) == 600.0


def test_deletion_is_awaited_unless_skipped_for_a_kind_that_heeds_it() -> None:
    """As in the real provider, `skipAwait` on a ConfigMap does not skip its deletion."""
    assert waits_for_deletion(annotated("Deployment"))
    assert not waits_for_deletion(annotated("Deployment", skipAwait="true"))
    assert waits_for_deletion(annotated("ConfigMap", skipAwait="true"))
