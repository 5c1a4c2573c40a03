"""Tickets as Leases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.kube.lease import LABEL, Ticket, new_lease, read_lease, renewal
from buildclient.kube.pod import Owner

_NOW = 1_800_000_000.25


def _stored(lease: dict[str, Any], version: str, patch: dict[str, Any] | None = None) -> dict[str, Any]:
    """As the API server gives it back."""
    patch = patch or {"metadata": {}, "spec": {}}
    metadata = {**lease["metadata"], **patch["metadata"], "resourceVersion": version}
    return {**lease, "metadata": metadata, "spec": {**lease["spec"], **patch["spec"]}}


def test_the_number_of_a_ticket_outlives_its_renewals() -> None:
    """It is the version that the Lease was created with; the version and the time change."""
    lease = new_lease("builder-1a", "builder", "me", None, _NOW)
    first = read_lease(_stored(lease, "41"))
    assert first == Ticket("builder-1a", 41, "41", _NOW, "me")
    assert first is not None
    again = read_lease(_stored(lease, "57", renewal(first, _NOW + 5)))
    assert again == first._replace(version="57", renewed=_NOW + 5)


def test_the_cluster_takes_a_ticket_away_with_the_pods() -> None:
    """Its owner is theirs; the label names the queue."""
    lease = new_lease("builder-1a", "builder", "me", Owner("apps/v1", "ReplicaSet", "builder-7f", "u-1"), _NOW)
    assert lease["metadata"]["labels"] == {LABEL: "builder"}
    assert lease["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "builder-7f", "uid": "u-1"}
    ]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"metadata": {"name": "a"}},
        {"metadata": {"name": "a", "resourceVersion": "x"}},
        {"metadata": {"name": "", "resourceVersion": "1"}},
        {"metadata": {"name": "a", "resourceVersion": "1", "annotations": {"buildkit-builders/number": "-1"}}},
    ],
)
def test_a_lease_that_is_no_ticket_is_left_out(raw: dict[str, Any]) -> None:
    """Whoever wrote it."""
    assert read_lease(raw) is None


@given(st.integers(0, 2**63), st.floats(0, 4e9))
def test_what_is_written_is_read(number: int, now: float) -> None:
    """To the microsecond."""
    ticket = read_lease(_stored(new_lease("n", "w", "h", None, now), str(number)))
    assert ticket is not None
    assert ticket.number == number
    assert abs(ticket.renewed - now) < 2e-6
