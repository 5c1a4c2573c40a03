"""Values on the wire: properties, secrets, unknowns."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from standins.provider.values import UNKNOWN, Secret, decode, encode, has_secret, has_unknown, plain

LEAVES = (
    st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(max_size=8)
    | st.just(UNKNOWN)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.builds(Secret, inner)
    ),
    max_leaves=10,
)
PROPERTIES = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(PROPERTIES)
def test_properties_survive_the_wire(properties: dict[str, Any]) -> None:
    """What is encoded is decoded to the same: secrets, unknowns, empty collections, whole numbers."""
    assert decode(encode(properties)) == properties


@given(PROPERTIES)
def test_plain_values_hold_no_secret(properties: dict[str, Any]) -> None:
    """Without marks nothing is marked, and what is unknown stays unknown."""
    assert not has_secret(plain(properties))
    assert has_unknown(plain(properties)) == has_unknown(properties)


def test_nulls_in_mappings_are_not_set() -> None:
    """A null means that the program did not set the key."""
    assert decode(encode({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}
