"""JSON and YAML of others are read within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.contract.jsontext import MAX_DEPTH, check_bounds, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_json_is_read(value: Any) -> None:
    """As Python's own reader reads it, from text and from bytes."""
    text = json.dumps(value)
    assert read_json(text) == read_json(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN is no number"),
        ('{"a": -Infinity}', "no number in JSON"),
        ("1e999", "too large"),
        ("9" * 5000, "Exceeds the limit|too large"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested too deeply"),
        (b"\xff", "decode"),
        ("", "Expecting value"),
    ],
)
def test_what_is_none_is_refused_as_one(text: str | bytes, words: str) -> None:
    """Whatever is wrong, it is a ValueError: no RecursionError, and no number that is none."""
    with pytest.raises(ValueError, match=words):
        read_json(text)


def test_bounds_are_kept() -> None:
    """A text may have a size, and a value as many levels as are allowed."""
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_json(" " * (1 << 20) + "1", size=1 << 20)
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert len(read_json(json.dumps([[]] * 1000))) == 1000


def test_aliases_are_counted_as_if_written_out() -> None:
    """Thirty lists, each with the one before twice, are a thousand million values; one may contain itself."""
    value: list[Any] = []
    for _ in range(30):
        value = [value, value]
    with pytest.raises(ValueError, match="too large"):
        check_bounds(value)
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        check_bounds(value)


@pytest.mark.parametrize(
    "text", [r'{"\ud800": ["\udFFFx", 1]}', '{"\ud800": ["\udfffx", 1]}', b'{"\xed\xa0\x80": ["\xed\xbf\xbfx", 1]}']
)
def test_half_a_surrogate_pair_becomes_what_can_be_encoded(text: str | bytes) -> None:
    """As Go reads it; a whole pair is its character."""
    assert read_json(text) == {"\ufffd": ["\ufffdx", 1]}
    assert read_json(r'"\ud83d\ude00 \\ud800"') == "\U0001f600 \\ud800"
