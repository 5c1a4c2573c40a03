"""The merge of a patch into a manifest, and the patch from one manifest to another."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from buildkit_builders.manifests.patch import differing, merged
from hypothesis import given
from hypothesis import strategies as st

_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=15,
)
_MAPPINGS = st.dictionaries(st.sampled_from("abcd"), _JSON, max_size=4)
_BASE = {
    "containers": [{"name": "one", "image": "a", "env": [{"name": "A", "value": "1"}]}, {"name": "two", "image": "b"}],
    "tolerations": [{"key": "a"}],
}


def _rfc7386(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _rfc7386(target.get(name), value)
    return target


@given(_MAPPINGS, _MAPPINGS)
def test_without_named_lists_it_is_rfc_7386(base: dict[str, Any], patch: dict[str, Any]) -> None:
    """Any mapping with any patch gives what the RFC's own function gives; neither is changed."""
    before = deepcopy((base, patch))
    assert merged(base, patch) == _rfc7386(base, patch)
    assert (base, patch) == before


@given(_MAPPINGS, _MAPPINGS)
def test_twice_is_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    """A patch that is in already changes nothing."""
    once = merged(base, patch)
    assert merged(once, patch) == once


def test_items_are_merged_by_name() -> None:
    """A named item is changed in its place, a new one comes last, and its own lists are merged too."""
    patch = {"containers": [{"name": "three"}, {"name": "one", "env": [{"name": "B", "value": "2"}]}]}
    assert merged(_BASE, patch)["containers"] == [
        {"name": "one", "image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"name": "two", "image": "b"},
        {"name": "three"},
    ]


def test_an_item_can_be_taken_away() -> None:
    """`$patch: delete` removes it, and is never part of the result."""
    patch = {"containers": [{"name": "two", "$patch": "delete"}, {"name": "none", "$patch": "delete"}]}
    assert [one["name"] for one in merged(_BASE, patch)["containers"]] == ["one"]


def test_other_lists_are_replaced() -> None:
    """Items without a name, as of tolerations, have nothing to be merged by."""
    assert merged(_BASE, {"tolerations": [{"key": "b"}]})["tolerations"] == [{"key": "b"}]


_PARTS = st.recursive(
    st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: (
        st.dictionaries(st.sampled_from(("image", "args", "resources")), inner, max_size=3)
        | st.lists(st.sampled_from("ab"), min_size=1, max_size=2)
        | st.lists(st.sampled_from("abc"), unique=True, max_size=3)
        .flatmap(
            lambda names: st.tuples(*(st.fixed_dictionaries({"name": st.just(name), "value": inner}) for name in names))
        )
        .map(list)
        .map(lambda items: {"env": items} if items else {"image": 1})
    ),
    max_leaves=8,
)
_TREES = st.dictionaries(st.sampled_from(("containers", "image", "spec")), _PARTS, max_size=3)


@given(_TREES, _TREES)
def test_the_patch_makes_the_one_the_other(made: dict[str, Any], there: dict[str, Any]) -> None:
    """Whatever differs, the patched manifest is what is there, but for the order of named items and empty mappings."""
    patch = differing(made, there)
    assert _comparable(merged(made, patch)) == _comparable(there)


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _comparable(one) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one not in ({}, [])}
    if isinstance(value, list):
        items = [_comparable(one) for one in value]
        named = all(isinstance(one, dict) and "name" in one for one in value)
        return sorted(items, key=lambda one: str(one["name"])) if named and items else items
    return value


_PLAIN = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("a", "env", "volumes")), inner, max_size=3)
    ),
    max_leaves=12,
)
_PLAIN_MAPPINGS = st.dictionaries(st.sampled_from(("a", "env", "volumes")), _PLAIN, max_size=3)


@given(_PLAIN_MAPPINGS, _PLAIN_MAPPINGS)
def test_a_patch_for_the_api_server_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    """By RFC 7386, lists as a whole whatever their fields are called."""
    assert _rfc7386(old, differing(old, new, by_name=False)) == new
