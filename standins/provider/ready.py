"""Waiting for one object, and for its end, with what the user reads meanwhile."""

from __future__ import annotations

import time

from standins.provider.await_.loop import Events, look, wait_until_ready
from standins.provider.await_.readiness import Source
from standins.provider.await_.table import readiness_of, seconds_to_wait, storage_class
from standins.provider.cluster import Cluster
from standins.provider.engine_log import StatusLine
from standins.provider.errors import Cancelled, NotReady, StatusError, Unfinished, Unreachable
from standins.provider.objects import Object, dig, name_of, namespace_of

_LOOK_SECONDS = 10.0
"""How often to look without an event: only a safety net, for a watch that ended for good."""

__all__ = ["await_deletion", "await_ready", "check_ready"]


def _binds_late(cluster: Cluster, live: Object) -> bool:
    """Whether a claim's storage class waits with binding for the first pod."""
    name = storage_class(live)
    if not name:
        return False
    try:
        found = cluster.client.request("GET", f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except (StatusError, Unreachable):
        return False
    return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")


def await_ready(
    cluster: Cluster, inputs: Object, live: Object, line: StatusLine, timeout: float, *, update: bool
) -> Object:
    """The live object once it is ready; `timeout` in seconds, 0: the default. Raises Unfinished."""
    readiness = readiness_of(inputs, live, update=update, binds_late=lambda: _binds_late(cluster, live))
    if readiness is not None:
        live = wait_until_ready(cluster.client, readiness, line, seconds_to_wait(timeout, inputs), cluster.canceller)
    line.clear()
    return live


def check_ready(cluster: Cluster, inputs: Object, live: Object, line: StatusLine) -> None:
    """What a refresh asks: raises NotReady for an object whose kind is awaited and that is not ready now."""
    readiness = readiness_of(inputs, live, reading=True, binds_late=lambda: False)
    if readiness is None:
        return
    if not look(cluster.client, readiness, line):
        raise NotReady(readiness.live, readiness.problems())
    line.clear()


def await_deletion(cluster: Cluster, live: Object, line: StatusLine, seconds: float) -> None:
    """Returns once the object is gone. Raises Unfinished with what is left of it."""
    client, uid = cluster.client, dig(live, "metadata", "uid")
    source = Source(live["apiVersion"], live["kind"], name=name_of(live))
    deadline = time.monotonic() + seconds
    with Events(client, namespace_of(live), [source], cluster.canceller) as events:
        look_again = True
        while True:
            if look_again:
                current = _still_there(cluster, live, uid)
                if current is None:
                    return
                live = current
                if dig(live, "metadata", "deletionTimestamp"):
                    line.show("info", "Resource scheduled for deletion")
            if cluster.canceller.cancelled:
                raise Cancelled(live)
            if time.monotonic() >= deadline:
                _say_finalizers(live, line)
                raise Unfinished("timed out waiting for the condition", live)
            found = events.next(min(deadline - time.monotonic(), _LOOK_SECONDS))
            look_again = found is None or found[0] not in ("ADDED", "MODIFIED")
            if found is not None and found[0] == "DELETED":
                return


def _still_there(cluster: Cluster, live: Object, uid: object) -> Object | None:
    try:
        current = cluster.client.get(live)
    except StatusError as error:
        if error.missing:
            return None
        raise
    return current if uid is None or dig(current, "metadata", "uid") == uid else None


def _say_finalizers(live: Object, line: StatusLine) -> None:
    names = ", ".join(dig(live, "metadata", "finalizers", default=None) or [])
    line.keep("warning", f"finalizers might be preventing deletion ({names})")
