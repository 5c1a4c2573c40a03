"""Where a problem is said to be."""

from __future__ import annotations

import pytest
from buildkit_builders.options.problems import Problems


@pytest.mark.parametrize(
    ("whose", "place", "whole"),
    [
        ("", "context", "builder"),
        ("builder:", "builder:context", "builder"),
        ("payments/main: ", "payments/main: context", "payments/main"),
        ("nodes", "nodes.context", "nodes"),
    ],
)
def test_a_place_is_joined_as_its_beginning_asks(whose: str, place: str, whole: str) -> None:
    """No dot after a colon, whether or not a space follows it; the thing itself is named without either."""
    problems = Problems(whose)
    problems.at("context").add("nowhere", "give a context")
    problems.add(None, "give a mapping")
    assert [str(one) for one in problems.found] == [
        f'{place}: "nowhere" is refused: give a context',
        f"{whole}: give a mapping",
    ]
