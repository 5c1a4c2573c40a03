"""Where two trees of objects differ, and how parts of them are replaced."""

from __future__ import annotations

from typing import Any

from buildkit_builders.late.tree import Difference, differences, pick, put
from buildkit_builders.manifests import Child
from buildkit_builders.rendering import NodeObjects
from hypothesis import given
from hypothesis import strategies as st

_SECONDS = st.integers(0, 3)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        | st.builds(Child, st.just("role"), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2), *[_SECONDS] * 3)
    ),
    max_leaves=12,
)


def _found(one: Any, other: Any) -> list[Difference]:
    return list(differences(one, other))


@given(TREES, TREES)
def test_what_differs_makes_the_one_tree_the_other(one: Any, other: Any) -> None:
    """Put in place, the parts that differ make equal trees; equal trees have none."""
    found = [difference.path for difference in differences(one, other)]
    outer = [path for path in found if not any(path[:end] in found for end in range(len(path)))]
    assert put(one, {path: pick(other, path) for path in outer}) == other
    assert not _found(one, one)
    if not found:
        assert one == other


def test_a_value_is_told_from_structure() -> None:
    """A field's value is left to an Output; which fields, which objects and which names there are is not."""
    one: dict[str, Any] = {"a": 1, "b": [1, 2], "c": {"d": 1}}
    assert _found(one, {**one, "a": 2}) == [Difference(("a",))]
    assert _found(one, {**one, "b": [1, 3]}) == [Difference(("b", 1))]
    assert _found(one, {**one, "b": [1]}) == [Difference(("b",), "which fields there are")]
    assert _found(one, {**one, "c": {"e": 1}}) == [Difference(("c",), "which fields there are")]
    assert _found(one, {**one, "c": "d"}) == [Difference(("c",), "which fields there are")]
    child = Child("role", one)
    assert _found(child, child._replace(manifest={**one, "a": 2})) == [Difference(("manifest", "a"))]
    assert _found(child, child._replace(role="other")) == [Difference(("role",), "the names of resources", True)]
    node = NodeObjects("n", "n", "Deployment", "a", (child,), ())
    assert _found(node, node._replace(namespace="b")) == [Difference(("namespace",))]
    assert _found(node, node._replace(kind="StatefulSet")) == [Difference(("kind",), "the kind of the workload", True)]
    assert _found(node, node._replace(objects=())) == [Difference(("objects",), "which objects there are", True)]


def test_true_is_not_one() -> None:
    """Python takes them for equal; Kubernetes does not."""
    assert _found({"a": True}, {"a": 1}) == [Difference(("a",))]
