"""The provider stand-in's comparison of objects: changes, paths, what replaces, what is ignored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.provider.diff import Change, Kind, changes, ignored, parse_path, path_text, prune, replaces
from standins.provider.replace_table import replacing_paths
from standins.provider.values import UNKNOWN

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def found(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Path text to kind of change."""
    return {path_text(change.path): change.kind.value for change in changes(old, new)}


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "update"}),
        ({}, {"a": {"b": 1}}, {"a": "add"}),
        ({"a": {"b": 1}}, {"a": {}}, {"a.b": "delete"}),
        ({"a": [1]}, {"a": [1, 2]}, {"a[1]": "add"}),
        ({"a": [1, 2]}, {"a": [3]}, {"a[0]": "update", "a[1]": "delete"}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 1}]}, {"a[0].b": "delete", "a[0].c": "add"}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": "update"}),
        ({"a": 1}, {"a": True}, {"a": "update"}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": UNKNOWN}, {"a": "update"}),
        ({}, {"a": UNKNOWN}, {"a": "add"}),
        ({"d": {"x.y": 1}}, {"d": {"x.y": 2}}, {'d["x.y"]': "update"}),
    ],
)
def test_each_change_is_told_at_the_deepest_level(old: Any, new: Any, wanted: dict[str, str]) -> None:
    """What both sides have is entered; what one side lacks is told as a whole."""
    assert found(old, new) == wanted


@given(OBJECTS)
def test_an_object_does_not_differ_from_itself(value: dict[str, Any]) -> None:
    """No change without a difference."""
    assert changes(value, value) == []


@given(OBJECTS, OBJECTS)
def test_objects_without_a_change_are_equal(old: dict[str, Any], new: dict[str, Any]) -> None:
    """No difference without a change (True and 1 differ, 1 and 1.0 do not)."""
    if not changes(old, new):
        assert old == new


@given(OBJECTS, OBJECTS)
def test_changes_of_one_direction_mirror_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    """What is added one way is deleted the other way, and what is updated is updated."""
    mirror = {"add": "delete", "delete": "add", "update": "update"}
    assert found(new, old) == {path: mirror[kind] for path, kind in found(old, new).items()}


@given(OBJECTS, OBJECTS)
def test_pruning_leaves_only_what_the_shape_has(live: dict[str, Any], shape: dict[str, Any]) -> None:
    """Pruned objects have no key that the shape lacks, and pruning twice is pruning once."""
    once = prune(live, shape)
    assert once.keys() <= shape.keys()
    assert prune(once, shape) == once


@given(OBJECTS)
def test_pruning_to_its_own_shape_changes_nothing(value: dict[str, Any]) -> None:
    """An object has its own shape."""
    assert prune(value, value) == value


def test_pruning_cuts_lists_to_the_shapes_length() -> None:
    """Elements are matched by position; a list of another type stays as it is."""
    live = {"a": [{"n": 1, "x": 2}, {"n": 3}], "b": ["text"]}
    assert prune(live, {"a": [{"n": 0}], "b": [{"n": 0}]}) == {"a": [{"n": 1}], "b": ["text"]}


@given(st.lists(KEYS | st.integers(0, 20), min_size=1, max_size=5).filter(lambda path: isinstance(path[0], str)))
def test_path_texts_can_be_read_back(path: list[str | int]) -> None:
    """A path survives being written and read."""
    assert parse_path(path_text(tuple(path))) == tuple(path)


DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment"}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}
POD = {"apiVersion": "v1", "kind": "Pod"}


@pytest.mark.parametrize(
    ("target", "path", "value", "wanted"),
    [
        (DEPLOYMENT, ("spec", "selector", "matchLabels", "app"), "x", True),
        (DEPLOYMENT, ("spec", "selector"), {}, True),
        (DEPLOYMENT, ("spec",), {"selector": {}}, True),
        (DEPLOYMENT, ("spec",), {"replicas": 1}, False),
        (DEPLOYMENT, ("spec", "template", "metadata", "labels", "app"), "x", False),
        (DEPLOYMENT, ("spec", "replicas"), 2, False),
        (DEPLOYMENT, ("metadata", "name"), "x", True),
        (DEPLOYMENT, ("metadata", "namespace"), "x", True),
        (DEPLOYMENT, ("metadata", "labels"), {"name": "x"}, False),
        (CONFIG_MAP, ("data", "a.b"), "x", True),
        (CONFIG_MAP, ("metadata", "annotations", "a"), "x", False),
        (POD, ("spec", "containers", 1, "image"), "x", True),
        (POD, ("spec", "containers", 1), {"image": "x"}, True),
        (POD, ("spec", "containers", 1), {"name": "x"}, False),
        (POD, ("spec", "activeDeadlineSeconds"), 5, False),
        ({"apiVersion": "v1", "kind": "Service"}, ("spec", "clusterIP"), "None", True),
        ({"apiVersion": "v1", "kind": "Service"}, ("spec", "ports"), [], False),
        ({"apiVersion": "batch/v1", "kind": "Job"}, ("spec", "template", "spec"), {}, True),
        ({"apiVersion": "apps/v1", "kind": "StatefulSet"}, ("spec", "serviceName"), "x", True),
        ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}, ("roleRef", "name"), "x", True),
        ({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}, ("rules",), [], False),
        ({"apiVersion": "example.com/v1", "kind": "Deployment"}, ("spec", "selector"), {}, False),
    ],
)
def test_the_table_tells_what_replaces(target: Any, path: tuple[Any, ...], value: Any, wanted: bool) -> None:
    """At a path of the table, below it, and above it if the value holds it."""
    patterns = replacing_paths(target, mutable_config_maps=False, mutable_secrets=False)
    assert replaces(Change(path, Kind.UPDATE, value), patterns) is wanted


def test_data_replaces_unless_it_is_mutable() -> None:
    """The settings make ConfigMaps and Secrets mutable, except those marked immutable; a Secret's type never is."""
    change = Change(("data", "k"), Kind.UPDATE, "x")
    for kind in ("ConfigMap", "Secret"):
        target: dict[str, Any] = {"apiVersion": "v1", "kind": kind}
        mutable = replacing_paths(target, mutable_config_maps=True, mutable_secrets=True)
        assert not replaces(change, mutable)
        frozen = replacing_paths({**target, "immutable": True}, mutable_config_maps=True, mutable_secrets=True)
        assert replaces(change, frozen)
    secret = replacing_paths({"apiVersion": "v1", "kind": "Secret"}, mutable_config_maps=True, mutable_secrets=True)
    assert replaces(Change(("type",), Kind.UPDATE, "x"), secret)


@pytest.mark.parametrize(
    ("path", "ignore", "wanted"),
    [
        (("spec", "replicas"), ["spec.replicas"], True),
        (("spec", "replicas"), ["spec"], True),
        (("spec",), ["spec.replicas"], False),
        (("spec", "containers", 0, "image"), ["spec.containers[*].image"], True),
        (("spec", "containers", 0, "image"), ["spec.containers[0]"], True),
        (("spec", "containers", 0, "image"), ["spec.containers[1]"], False),
        (("metadata", "annotations", "a.b/c"), ['metadata.annotations["a.b/c"]'], True),
        (("data",), [], False),
    ],
)
def test_ignored_changes_are_those_at_or_below_a_path(path: tuple[Any, ...], ignore: list[str], wanted: bool) -> None:
    """A path covers itself and what is below."""
    assert ignored(Change(path, Kind.UPDATE, 1), ignore) is wanted
