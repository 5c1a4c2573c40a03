"""Takes back what people set by hand and Pulumi's provider does not see.

The provider compares what a program declares. A variable that was added to a container, or a rule to a Role, is beside
that, and stays until the object is changed for another reason: then the provider takes over what kubectl set, and
with it takes away what is not declared. Here the same is done at once, field by field, for fields set by hand alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from buildclient.kube.api import ApiError, KubeApi
from buildkit_builders.drift.compare import Field, mended
from buildkit_builders.drift.managed import entries_of, handed_over
from buildkit_builders.drift.observed import Sight
from buildkit_builders.manifests.patch import differing
from buildkit_builders.scaled import object_path

__all__ = ["WORKLOADS", "repair", "repairable"]

_log = logging.getLogger(__name__)

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds with pods, which a repair may replace."""
_MANAGER = "pulumi-kubernetes"
"""The provider takes over what this manager set."""
_TRIES = 5
"""Controllers write to an object at any time, which makes the version read before a past one."""
_OBSERVED_WITHIN = 10.0
"""Seconds for a controller to see a changed workload: until then its status tells of the one before."""


def repairable(sight: Sight) -> tuple[Field, ...]:
    """The fields of an object that `repair` sets as declared, and the object itself if somebody made it anew."""
    if not sight.live:
        return ()
    by_hand = any(entry.is_hand and not entry.subresource for entry in entries_of(sight.live))
    drift = sight.differences().drift
    return tuple(field for field in drift if field.parts or (field.change == "replaced" and by_hand))


def repair(api: KubeApi, sight: Sight) -> tuple[Field, ...]:
    """Set the fields of an object as declared, and return them. Blocks. Raises UnreachableError.

    What people set passes to Pulumi's provider, as it does when the provider itself changes an object.
    """
    which = sight.object
    path = object_path(str(sight.live.get("apiVersion")), which.kind, which.namespace, which.name)
    for attempt in range(1, _TRIES + 1):
        live = api.read(path, {}, f"cannot read {which}")
        fields = repairable(sight._replace(live=live))
        if not fields:
            return ()
        wanted = mended(live, fields)
        wanted["metadata"]["managedFields"] = handed_over(live["metadata"].get("managedFields") or [], _MANAGER)
        patch = differing(live, wanted, by_name=False)
        patch.setdefault("metadata", {})["resourceVersion"] = live["metadata"]["resourceVersion"]
        try:
            changed = api.patch(path, patch, f"cannot change {which}", _MANAGER)
        except ApiError as error:
            if error.status != 409 or attempt == _TRIES:
                raise
            continue
        _log.debug("%s: taken back: %s", which, ", ".join(field.path for field in fields))
        _wait_until_observed(api, path, changed)
        return fields
    raise AssertionError("the last attempt returns or raises")


def _wait_until_observed(api: KubeApi, path: str, changed: Mapping[str, Any]) -> None:
    until = time.monotonic() + _OBSERVED_WITHIN
    while _is_unseen(changed) and time.monotonic() < until:
        time.sleep(0.1)
        changed = api.read(path, {}, "cannot read what was changed")


def _is_unseen(live: Mapping[str, Any]) -> bool:
    """Whether a controller has still to see an object."""
    status, metadata = live.get("status"), live.get("metadata")
    if not isinstance(status, Mapping) or not isinstance(metadata, Mapping) or "observedGeneration" not in status:
        return False
    return bool(status["observedGeneration"] != metadata.get("generation"))
