"""Quantities are read exactly and written as the apiserver would store them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from buildkit_builders.options.problems import InvalidValue
from buildkit_builders.options.quantity import BYTES, CPU, parse_quantity, read_quantity
from hypothesis import given
from hypothesis import strategies as st

# what apimachinery's resource.Quantity makes of each; tests/cluster holds the same table to a real apiserver
CANONICAL = {
    "0": "0",
    "0.5": "500m",
    "0.1": "100m",
    "2": "2",
    "2.0": "2",
    "1000": "1k",
    "1000m": "1",
    "1500m": "1500m",
    "1024": "1024",
    "1024Ki": "1Mi",
    "1024Mi": "1Gi",
    "1.5Gi": "1536Mi",
    ".5Gi": "512Mi",
    "0.5Ki": "512",
    "1023Ki": "1023Ki",
    "4G": "4G",
    "4000M": "4G",
    "4096M": "4096M",
    "1e3": "1e3",
    "12e4": "120e3",
    "1E": "1E",
    "128974848": "128974848",
    "129e6": "129e6",
    "129M": "129M",
    "123Mi": "123Mi",
    "7Ei": "7Ei",
}


@pytest.mark.parametrize(("given_text", "canonical"), CANONICAL.items())
def test_quantities_become_canonical(given_text: str, canonical: str) -> None:
    """Each text becomes the one that Kubernetes would store."""
    assert parse_quantity(given_text).text == canonical


_quantities = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.integers(0, 10**6) | st.decimals(0, 1000, places=3, allow_nan=False),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e0", "e3", "E6", "e-3"]),
)


@given(_quantities)
def test_the_canonical_form_is_a_fixed_point_of_the_same_value(text: str) -> None:
    """Writing a quantity canonically changes its text once at most and its value never."""
    first = parse_quantity(text)
    again = parse_quantity(first.text)
    assert again == first


@given(st.integers(1, 2**40), st.sampled_from(["", "Ki", "Mi"]))
def test_binary_quantities_are_exact(number: int, suffix: str) -> None:
    """A binary quantity's value is its number times a power of 1024."""
    assert parse_quantity(f"{number}{suffix}").value == number * 1024 ** ["", "Ki", "Mi"].index(suffix)


def test_numbers_of_structured_config_are_quantities() -> None:
    """Numbers are read as their decimal text."""
    assert read_quantity(2, CPU).text == "2"
    assert read_quantity(0.5, CPU).text == "500m"
    assert read_quantity(2.0, CPU).value == Fraction(2)


def test_half_a_byte_gets_a_hint() -> None:
    """`500m` of memory is refused, and what was meant is named."""
    with pytest.raises(InvalidValue) as caught:
        read_quantity("500m", BYTES)
    assert "500Mi" in caught.value.hint


def test_a_sign_is_read_and_not_written() -> None:
    """`+` says nothing; an apiserver that is given it keeps it, so it is never sent."""
    assert parse_quantity("+1Gi").text == "1Gi"
    assert parse_quantity("-1Gi").value == -(2**30)
