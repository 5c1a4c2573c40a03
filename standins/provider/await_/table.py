"""Which state machine follows which kind; kinds without a row are ready once they are made."""

from __future__ import annotations

from collections.abc import Callable

from standins.provider.await_.deployment import DeploymentReadiness
from standins.provider.await_.pod import PodReadiness
from standins.provider.await_.readiness import Readiness
from standins.provider.await_.service import ServiceReadiness
from standins.provider.await_.simple import (
    ClaimReadiness,
    JobReadiness,
    SimpleReadiness,
    daemon_set_ready,
    quota_ready,
    volume_ready,
)
from standins.provider.await_.statefulset import StatefulSetReadiness
from standins.provider.await_.waitfor import OwnConditions, parse_wait_for
from standins.provider.objects import Object, annotations_of, dig, is_true, kind_key

__all__ = ["SKIP_AWAIT", "TIMEOUT", "WAIT_FOR", "readiness_of", "seconds_to_wait", "waits_for_deletion"]

SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT = "pulumi.com/timeoutSeconds"

_DEFAULT_SECONDS = 600.0

_FOLLOWED: dict[str, Callable[[Object], Readiness]] = {
    "apps/v1/Deployment": DeploymentReadiness,
    "apps/v1/StatefulSet": StatefulSetReadiness,
    "apps/v1/DaemonSet": lambda live: SimpleReadiness(live, daemon_set_ready, "Waiting for DaemonSet to roll out"),
    "batch/v1/Job": JobReadiness,
    "v1/PersistentVolume": lambda live: SimpleReadiness(live, volume_ready, "Waiting for PersistentVolume"),
    "v1/Pod": PodReadiness,
    "v1/ResourceQuota": lambda live: SimpleReadiness(live, quota_ready, "Waiting for ResourceQuota to be in force"),
    "v1/Service": ServiceReadiness,
}

_READ_CHECKED = {
    "apps/v1/DaemonSet",
    "apps/v1/Deployment",
    "apps/v1/StatefulSet",
    "batch/v1/Job",
    "v1/Pod",
    "v1/Service",
}

_DELETED_UNWATCHED = {
    "apps/v1/DaemonSet",
    "apps/v1/Deployment",
    "apps/v1/StatefulSet",
    "batch/v1/Job",
    "v1/Namespace",
    "v1/Pod",
}


def readiness_of(
    inputs: Object, live: Object, *, update: bool = False, reading: bool = False, binds_late: Callable[[], bool]
) -> Readiness | None:
    """The state machine for an object just made; None where nothing is to be waited for.

    `skipAwait` wins over `waitFor`, and that over the built-in rules; a refresh (`reading`) knows only the latter.
    `binds_late` tells whether a claim's class waits for the first pod. Raises BadWaitFor.
    """
    if is_true(inputs, SKIP_AWAIT):
        return None
    key = kind_key(live)
    if reading:
        return _FOLLOWED[key](live) if key in _READ_CHECKED else None
    own = annotations_of(inputs).get(WAIT_FOR)
    if own:
        return OwnConditions(live, parse_wait_for(own))
    if key == "v1/PersistentVolumeClaim":
        return ClaimReadiness(live, late=binds_late(), update=update)
    follow = _FOLLOWED.get(key)
    return follow(live) if follow else None


def seconds_to_wait(given: float, inputs: Object) -> float:
    """`customTimeouts` (seconds; 0: none), else the annotation, else ten minutes."""
    if given:
        return given
    text = annotations_of(inputs).get(TIMEOUT, "")
    return float(text) if text.isdigit() else _DEFAULT_SECONDS


def waits_for_deletion(inputs: Object) -> bool:
    """Whether a deletion is waited for: `skipAwait` counts only for kinds where the real provider heeds it."""
    return not (is_true(inputs, SKIP_AWAIT) and kind_key(inputs) in _DELETED_UNWATCHED)


def storage_class(claim: Object) -> str:
    """The storage class of a claim; empty if it names none."""
    return str(dig(claim, "spec", "storageClassName", default="") or "")
