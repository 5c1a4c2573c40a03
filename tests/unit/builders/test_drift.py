"""Drift of an object, field by field: what counts, who did it, and how it is taken back."""

from __future__ import annotations

import copy
import json
from typing import Any

from buildkit_builders.drift.compare import Field, Object, compare, mended
from buildkit_builders.drift.managed import Key, element, entries_of, handed_over, owner_of, path_text
from hypothesis import given
from hypothesis import strategies as st

WHICH = Object("urn", "Deployment", "buildkit", "a")
OURS: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"app": "a"}},
    "spec": {
        "replicas": 1,
        "containers": [
            {"name": "b", "image": "x", "args": ["--debug"], "resources": {"requests": {"cpu": "0.5"}}, "env": []},
        ],
        "volumes": [{"name": "state", "emptyDir": {}}],
    },
}
FIELDS: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:containers": {
            'k:{"name":"b"}': {
                ".": {},
                "f:name": {},
                "f:image": {},
                "f:args": {},
                "f:resources": {"f:requests": {"f:cpu": {}}},
            }
        },
        "f:volumes": {'k:{"name":"state"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
    },
}


def entry(manager: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    """An entry of managedFields."""
    told = {"manager": manager, "operation": "Update", "time": "2026-11-25T10:00:00Z", "apiVersion": "apps/v1"}
    return {**told, "fieldsV1": fields, **more}


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    """The object as it is in a cluster, with what the API server filled in."""
    found = copy.deepcopy(OURS)
    found["metadata"] |= {"uid": "1", "generation": 1, "managedFields": [entry("pulumi-kubernetes", FIELDS), *entries]}
    found["spec"]["revisionHistoryLimit"] = 10
    found["spec"]["containers"][0] |= {"imagePullPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}
    del found["spec"]["containers"][0]["env"]
    return found


def drift(there: dict[str, Any]) -> list[tuple[str, str, Any, Any, str]]:
    """Change, path, both values and manager of each difference."""
    return [(f.change, f.path, f.ours, f.there, f.manager) for f in compare(WHICH, OURS, there, live()).drift]


def test_what_the_api_server_fills_in_is_no_drift() -> None:
    """Nor are quantities that are written otherwise, nor an empty list that it drops."""
    assert compare(WHICH, OURS, live(), live()) == ((), ())


def test_a_changed_field_has_who_changed_it() -> None:
    """In lists with keys the element is found by them, wherever it is now."""
    there = live(entry("kubectl-set", {"f:spec": {"f:containers": {'k:{"name":"b"}': {"f:image": {}}}}}))
    there["spec"]["containers"][0]["image"] = "y"
    there["spec"]["containers"].insert(0, {"name": "a", "image": "z"})
    assert drift(there) == [("changed", "spec.containers[b].image", "x", "y", "kubectl-set")]


def test_a_field_that_is_gone_has_nobody() -> None:
    """A label, a list that is one value, an element of another list."""
    there = live()
    there["metadata"]["labels"] = {}
    del there["spec"]["containers"][0]["args"]
    there["spec"]["volumes"] = []
    assert drift(there) == [
        ("removed", "metadata.labels.app", "a", None, ""),
        ("removed", "spec.containers[b].args", ["--debug"], None, ""),
        ("removed", "spec.volumes[state]", {"name": "state", "emptyDir": {}}, None, ""),
    ]


def test_a_list_that_is_one_value_is_compared_whole() -> None:
    """Pulumi's provider passes over what was appended."""
    there = live(entry("kubectl-patch", {"f:spec": {"f:containers": {'k:{"name":"b"}': {"f:args": {}}}}}))
    there["spec"]["containers"][0]["args"].append("--trace")
    assert drift(there) == [
        ("changed", "spec.containers[b].args", ["--debug"], ["--debug", "--trace"], "kubectl-patch")
    ]


def test_what_a_person_added_is_drift_and_what_a_program_added_is_not() -> None:
    """The programs' fields are told apart; notes of kubectl are neither."""
    person = {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}, "f:note": {}}}}
    there = live(
        entry("kubectl-annotate", person), entry("reloader", {"f:metadata": {"f:annotations": {"f:hash": {}}}})
    )
    there["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "by hand", "hash": "1",
    }  # fmt: skip
    found = compare(WHICH, OURS, there, live())
    assert [(f.path, f.there) for f in found.drift] == [("metadata.annotations.note", "by hand")]
    assert [(f.path, f.manager) for f in found.others] == [("metadata.annotations.hash", "reloader")]


def test_whose_builder_it_is_may_be_noted_by_hand() -> None:
    """The annotations that the page shows are nobody's mistake; another one beside them is."""
    names = {"buildkit-builders/owner": "Ada", "buildkit-builders/team": "pay", "buildkit-builders/other": "x"}
    fields = {"f:annotations": {".": {}, **{f"f:{name}": {} for name in names}}}
    there = live(entry("kubectl-annotate", {"f:metadata": fields}))
    there["metadata"]["annotations"] = names
    ours = {**OURS, "metadata": {**OURS["metadata"], "annotations": {}}}
    found = compare(WHICH, ours, there, live()).drift
    assert [(field.change, field.there) for field in found] == [("added", "x")]


def test_replicas_of_an_autoscaler_are_not_drift_and_those_of_kubectl_scale_are() -> None:
    """The record of a scale has no time."""
    scale = {"f:spec": {"f:replicas": {}}}
    for manager, at in (("kube-controller-manager", 1), ("keda-operator", 1), ("kubectl", 0), ("buildclient", 0)):
        by = entry(manager, scale, subresource="scale", time="")
        there = live(by)
        there["metadata"]["managedFields"][0]["fieldsV1"] = {"f:metadata": FIELDS["f:metadata"]}
        there["spec"]["replicas"] = 3
        field = compare(WHICH, OURS, there, live())[at][0]
        assert (field.path, field.there, field.manager, field.subresource, field.since) == (
            "spec.replicas", 3, manager, "scale", "",
        )  # fmt: skip


def test_an_object_made_anew_is_told_without_what_the_api_server_filled_in() -> None:
    """Whoever made it owns its defaults too."""
    everything = {**FIELDS, "f:spec": {**FIELDS["f:spec"], "f:revisionHistoryLimit": {}, "f:paused": {}}}
    there = live()
    there["metadata"] |= {"uid": "2", "creationTimestamp": "2026-11-25T11:00:00Z"}
    there["metadata"]["managedFields"] = [entry("kubectl-create", everything)]
    there["spec"]["paused"] = True
    fields = compare(WHICH, OURS, there, live()).drift
    assert [(f.change, f.path, f.there) for f in fields] == [("replaced", "", "2"), ("added", "spec.paused", True)]
    assert (fields[0].manager, fields[0].since) == ("kubectl-create", "2026-11-25T11:00:00Z")


def test_taking_back_leaves_what_is_declared_and_what_the_api_server_filled_in() -> None:
    """Values are set, additions go together with whatever they leave empty."""
    env = {"f:env": {'k:{"name":"T"}': {".": {}, "f:name": {}, "f:value": {}}}, "f:args": {}, "f:image": {}}
    probe = {"f:livenessProbe": {"f:httpGet": {"f:port": {}, "f:path": {}}}}
    there = live(entry("kubectl-edit", {"f:spec": {"f:containers": {'k:{"name":"b"}': {**env, **probe}}}}))
    there["spec"]["containers"][0] |= {
        "env": [{"name": "T", "value": "1"}],
        "args": [],
        "image": "y",
        "livenessProbe": {"httpGet": {"port": 1, "path": "/"}},
    }
    there["metadata"]["labels"] = {}
    there["spec"]["volumes"] = []
    fields = compare(WHICH, OURS, there, live()).drift
    assert len(fields) == 7
    result = mended(there, fields)
    managed = result["metadata"].pop("managedFields")
    assert managed == there["metadata"]["managedFields"]
    wanted = live()
    del wanted["metadata"]["managedFields"]
    assert result == wanted


def test_nothing_is_told_or_taken_back_of_what_is_secret() -> None:
    """Pulumi's events mask a secret, maybe a whole pod template; what is declared in it is not known here."""
    there = live(entry("kubectl-set", {"f:spec": {"f:containers": {'k:{"name":"b"}': {"f:image": {}}}}}))
    there["spec"]["containers"][0]["image"] = "y"
    ours = {**OURS, "spec": {**OURS["spec"], "containers": "[secret]"}}
    assert compare(WHICH, ours, there, live()) == ((), ())
    assert compare(WHICH, {**OURS, "spec": "[secret]"}, there, live()) == ((), ())


def test_what_people_set_passes_to_one_manager() -> None:
    """Beside what it has already; programs and subresources keep theirs."""
    listed = [
        entry("pulumi-kubernetes", {"f:spec": {"f:a": {}}}),
        entry("kubectl-edit", {"f:spec": {"f:b": {"f:c": {}}}}),
        entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
        entry("reloader", {"f:spec": {"f:d": {}}}),
    ]
    before = copy.deepcopy(listed)
    first, *rest = handed_over(listed, "pulumi-kubernetes")
    assert first["fieldsV1"] == {"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}}
    assert rest == listed[2:]
    assert listed == before


def test_paths_are_such_as_people_write() -> None:
    """Keys in brackets, names with signs of their own in quotes."""
    port = Key((("containerPort", 80), ("protocol", "TCP")))
    assert path_text(("spec", "ports", port, "name")) == "spec.ports[80/TCP].name"
    assert path_text(("data", "a.b", 1)) == 'data["a.b"][1]'


def test_the_owner_of_a_part_is_that_of_the_value() -> None:
    """A list or map that is one value has one owner, another than the provider if there is one."""
    entries = entries_of(live(entry("kubectl-patch", {"f:spec": {"f:rules": {}}})))
    for path in (("spec", "rules"), ("spec", "rules", 1, "verbs")):
        owner = owner_of(entries, path)
        assert owner is not None
        assert owner.manager == "kubectl-patch"
    assert owner_of(entries, ("spec", "other")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab:.{}", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
TREES = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(
        st.sampled_from(["f:a", "f:b", "f:metadata", ".", 'k:{"a":1}', "k:x", "v:1", "v:{", "z"]), inner, max_size=3
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "spec", "metadata"]), JSON, max_size=4), JSON, TREES)
def test_any_object_is_compared_and_what_is_declared_is_there_afterwards(
    ours: dict[str, Any], there: Any, tree: Any
) -> None:
    """Whatever the cluster says; an object as declared has no drift."""
    managed = {"metadata": {"managedFields": [entry("kubectl-edit", tree)]}}
    found = compare(WHICH, ours, {**(there if isinstance(there, dict) else {}), **managed}, {})
    for field in found.drift + found.others:
        assert isinstance(field, Field)
        json.dumps(field.to_json())
    mended(managed, found.drift)
    assert compare(WHICH, ours, ours, {}).drift == ()


@given(st.text(max_size=12))
def test_any_name_of_a_node_is_read(name: str) -> None:
    """What is no element is none."""
    assert element(name) is None or name[:2] in ("k:", "v:")
