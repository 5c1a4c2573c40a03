"""YAML is read with the line of each value, and what is malformed is a problem."""

from __future__ import annotations

import datetime

import pytest
from buildkit_builders.claims.yamltext import read_documents


def test_every_value_has_its_line() -> None:
    """Of documents and items alike; a place that is not there has the line of what is around it."""
    found, malformed = read_documents(
        "# about\nname: a\nscaling:\n  max: 2\n---\n- name: b\n  list:\n    - x\n    - y\n"
    )
    assert malformed == []
    first, second = found
    assert first.value == {"name": "a", "scaling": {"max": 2}}
    assert [first.line_of(place) for place in ("name", "scaling.max", "scaling.min", "size")] == [2, 4, 3, 2]
    assert (second.line, second.line_of("list[1]"), second.line_of("list[7].x")) == (6, 9, 7)


def test_anchors_and_merge_keys_share_lines() -> None:
    """What a mapping says itself counts before what it merges, and of several the first."""
    found, _ = read_documents("- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- {<<: [*a, *b], x: 3}\n")
    assert found[2].value == {"x": 3, "y": 1, "z": 2}


def test_keys_are_texts_and_values_are_yamls() -> None:
    """`on` as a key is no boolean; a day is a date, and one that no calendar has is its text."""
    found, _ = read_documents("on: off\n1: 2027-06-30\nday: 2027-02-30\n")
    assert found[0].value == {"on": False, "1": datetime.date(2027, 6, 30), "day": "2027-02-30"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("name: a\nname: b\n", 2, 'key "name" stands twice'),
        ("a: &a [*a]\n", 1, "an alias stands within what it stands for"),
        ("a: !!python/name:os.system x\n", 1, "is not read here"),
        ("a: !secret x\n", 1, "tag !secret is not read here"),
        ("? [a]\n: b\n", 1, "give a text as key"),
        ("<<: 3\n", 1, "<< takes a mapping"),
    ],
)
def test_what_is_malformed_within_a_document_is_told(text: str, line: int, said: str) -> None:
    """With its line; nothing of it is run."""
    (found,), malformed = read_documents(text)
    assert malformed == []
    assert [(one.line, said in one.text) for one in found.malformed] == [(line, True)]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tx: 1", "a: \x01", "[" * 5000, "%YAML 9\n---\na: *nothing\n"])
def test_what_is_no_yaml_is_told_in_one_line(text: str) -> None:
    """The documents before it are read."""
    found, malformed = read_documents("good: 1\n---\n" + text if "\x01" not in text else text)
    assert len(malformed) == 1
    assert "\n" not in malformed[0].text
    assert [one.value for one in found] == ([] if "\x01" in text else [{"good": 1}])


def test_aliases_that_unfold_without_end_are_refused() -> None:
    """Ten lines of ten aliases each stand for ten thousand million values."""
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    (found,), _ = read_documents(text)
    assert [one.text for one in found.malformed] == ["it has too many values"]
