"""Server-side apply in the provider stand-in: who owns which field, when to force."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.provider.apply import force, merge_patch, taken_over, with_ignored
from standins.provider.cluster import Cluster
from standins.provider.errors import StatusError
from standins.provider.update import take_over

MINE = "pulumi-kubernetes-12345678"


def entry(manager: str, operation: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    """An entry of managedFields."""
    found = {"manager": manager, "operation": operation, "fieldsV1": fields, "time": "t", "apiVersion": "apps/v1"}
    return {**found, "subresource": subresource} if subresource else found


def live(*entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A live object with these entries."""
    return {"metadata": {"name": "a", "managedFields": list(entries)}, "spec": spec}


@pytest.mark.parametrize(
    ("manager", "operation", "subresource", "passes"),
    [
        ("pulumi-kubernetes", "Update", "", True),
        ("pulumi-resource-kubernetes", "Update", "", True),
        ("kubectl-annotate", "Update", "", True),
        ("kubectl-edit", "Update", "", True),
        ("kubectl", "Apply", "", True),
        ("before-first-apply", "Update", "", True),
        ("kubectl", "Update", "scale", False),
        ("kube-controller-manager", "Update", "status", False),
        ("kube-controller-manager", "Update", "", False),
        ("helm", "Update", "", False),
        ("pulumi-kubernetes-87654321", "Apply", "", False),
        (MINE, "Apply", "", False),
    ],
)
def test_what_passes_to_our_manager(manager: str, operation: str, subresource: str, passes: bool) -> None:
    """What people did with kubectl and what a create wrote; never a subresource, never another's."""
    target = live(entry(manager, operation, {"f:spec": {"f:replicas": {}}}, subresource))
    found = taken_over(target, MINE)
    if not passes:
        assert found is None
        return
    assert found is not None
    assert [(one["manager"], one["operation"], one["fieldsV1"]) for one in found] == [
        (MINE, "Apply", {"f:spec": {"f:replicas": {}}})
    ]


def test_fields_that_pass_are_united_with_ours() -> None:
    """One entry of ours remains, with all fields; others stay as they are; the object is not changed."""
    ours = entry(MINE, "Apply", {"f:spec": {"f:replicas": {}}})
    theirs = entry("kubectl-annotate", "Update", {"f:metadata": {"f:annotations": {"f:team": {}}}})
    status = entry("kube-controller-manager", "Update", {"f:status": {}}, "status")
    target = live(status, theirs, ours)
    found = taken_over(target, MINE)
    assert found == [
        {**ours, "fieldsV1": {"f:spec": {"f:replicas": {}}, "f:metadata": {"f:annotations": {"f:team": {}}}}},
        status,
    ]
    assert ours["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


class Changing:
    """A client whose object gets a new version before each of the first patches arrives."""

    def __init__(self, times: int) -> None:
        self.version, self.times, self.patches = 1, times, 0

    def get(self, target: dict[str, Any]) -> dict[str, Any]:
        found = live(entry("pulumi-kubernetes", "Update", {}))
        found["metadata"]["resourceVersion"] = str(self.version)
        return found

    def path_of(self, target: dict[str, Any]) -> str:
        return "path"

    def request(self, method: str, path: str, patch: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        self.patches += 1
        if self.patches <= self.times:
            self.version += 1
        if patch[1]["value"] != str(self.version):
            raise StatusError(409, "the object has been modified", "Conflict")
        return {"metadata": {"managedFields": patch[0]["value"]}}


@pytest.mark.parametrize(("times", "patches"), [(0, 1), (1, 2), (4, 5)])
def test_taking_over_survives_a_controller_that_writes_meanwhile(times: int, patches: int) -> None:
    """The version read may be a past one when the patch arrives: it is read again, some times, not for ever."""
    client = Changing(times)
    cluster = cast(Cluster, SimpleNamespace(client=client))
    found = take_over(cluster, client.get({}), MINE)
    assert [one["manager"] for one in found["metadata"]["managedFields"]] == [MINE]
    assert client.patches == patches
    stubborn = Changing(99)
    with pytest.raises(StatusError, match="has been modified"):
        take_over(cast(Cluster, SimpleNamespace(client=stubborn)), stubborn.get({}), MINE)
    assert stubborn.patches == 5


FORCED = {"metadata": {"annotations": {"pulumi.com/patchForce": "true"}}}
CREATED = live(entry("pulumi-kubernetes", "Update", {}))
APPLIED = live(entry(MINE, "Apply", {}))


@pytest.mark.parametrize(
    ("inputs", "target", "always", "preview", "wanted"),
    [
        (FORCED, APPLIED, False, False, True),
        ({}, APPLIED, True, False, True),
        ({}, APPLIED, False, False, False),
        ({}, APPLIED, False, True, False),
        ({}, CREATED, False, True, True),
        ({}, CREATED, False, False, False),
        ({}, None, False, True, True),
        ({}, None, False, False, False),
        ({}, live(), False, False, True),
    ],
)
def test_when_conflicts_are_overwritten(
    inputs: dict[str, Any], target: dict[str, Any] | None, always: bool, preview: bool, wanted: bool
) -> None:
    """By annotation or setting; in previews what a real update would take over; objects older than the mechanism."""
    assert force(inputs, target, always=always, preview=preview) is wanted


def test_ignored_fields_are_left_out_where_others_own_them() -> None:
    """Another manager's field is not sent; one of ours is sent as it is in the cluster; the inputs stay as they are."""
    inputs = {"spec": {"replicas": 1, "paused": False}}
    scaled = entry("kubectl", "Update", {"f:spec": {"f:replicas": {}}}, "scale")
    ours = entry(MINE, "Apply", {"f:spec": {"f:replicas": {}, "f:paused": {}}})
    only_theirs = live(scaled, replicas=3, paused=True)
    assert with_ignored(inputs, only_theirs, MINE, ["spec.replicas"]) == {"spec": {"paused": False}}
    shared = live(scaled, ours, replicas=3, paused=True)
    assert with_ignored(inputs, shared, MINE, ["spec.replicas"]) == {"spec": {"replicas": 3, "paused": False}}
    assert with_ignored(inputs, shared, MINE, ["spec.absent", "spec.list[0]"]) == inputs
    assert inputs == {"spec": {"replicas": 1, "paused": False}}


LEAVES = st.integers() | st.text(max_size=3) | st.booleans()
OBJECTS = st.recursive(
    st.dictionaries(st.text(max_size=3), LEAVES | st.lists(LEAVES, max_size=2), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=3), inner | LEAVES, max_size=3),
    max_leaves=8,
)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(OBJECTS, OBJECTS)
def test_merge_patches_lead_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Applied by the rules of RFC 7386, the patch gives the new object."""
    assert merged(old, merge_patch(old, new)) == new
