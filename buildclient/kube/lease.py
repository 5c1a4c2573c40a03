"""A place in a queue, kept as a Lease (coordination.k8s.io/v1). Pure: objects of the API in, tickets out, and back.

The number of a ticket is the resourceVersion that its Lease was created with: the cluster counts them upwards, so it
says who came first, whatever the clients' clocks say. A renewal changes the resourceVersion and keeps the number as an
annotation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from buildclient.contract.patterns import pattern
from buildclient.kube.pod import Owner, moment, table

__all__ = ["LABEL", "LIFETIME", "Ticket", "new_lease", "read_lease", "renewal"]

LABEL = "buildkit-builders/queue"
"""The label of a queue's Leases; its value is the name of the node's workload."""
LIFETIME = 15.0
"""Seconds without a renewal after which a ticket is dead."""
_NUMBER = "buildkit-builders/number"
_COUNT = pattern(r"[0-9]{1,20}\Z", re.ASCII)


class Ticket(NamedTuple):
    """A place in the queue."""

    name: str
    """Of its Lease."""
    number: int
    """Which one the cluster took first: the smaller number."""
    version: str
    """Changes with each renewal."""
    renewed: float = 0.0
    """Seconds since the epoch, on its holder's clock."""
    holder: str = ""
    """Who waits, for people."""


def new_lease(name: str, workload: str, holder: str, owner: Owner | None, now: float) -> dict[str, Any]:
    """The Lease of a new ticket; with `owner`, the cluster takes it away with that object."""
    metadata: dict[str, Any] = {"name": name, "labels": {LABEL: workload}}
    if owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        ]
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": round(LIFETIME),
        "acquireTime": _stamp(now),
        "renewTime": _stamp(now),
    }
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def renewal(ticket: Ticket, now: float) -> dict[str, Any]:
    """The merge patch that renews a ticket."""
    return {"metadata": {"annotations": {_NUMBER: str(ticket.number)}}, "spec": {"renewTime": _stamp(now)}}


def read_lease(raw: Mapping[str, Any]) -> Ticket | None:
    """The ticket that a Lease holds; None if it holds none."""
    metadata, spec = table(raw.get("metadata")), table(raw.get("spec"))
    name, version = metadata.get("name"), str(metadata.get("resourceVersion") or "")
    number = table(metadata.get("annotations")).get(_NUMBER, version)
    if not isinstance(name, str) or not name or not _COUNT.match(str(number)):
        return None
    return Ticket(name, int(number), version, moment(spec.get("renewTime")), str(spec.get("holderIdentity") or ""))


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
