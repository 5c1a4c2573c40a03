"""What is wrong in BUILDKIT_COLORS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildclient.progress.colours import colour_problems, colours


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        ("run=green:cancel=LIGHT-red:error=1,2,3:warning=default", []),
        ("run", ["Could not parse BUILDKIT_COLORS component: run"]),
        ("run=a=b", ["Could not parse BUILDKIT_COLORS component: run=a=b"]),
        ("run=frob:error=red", ["Unknown color value found in BUILDKIT_COLORS: run=frob"]),
        ("foo=blue", ["Unknown key found in BUILDKIT_COLORS (expected: run, cancel, error, or warning): foo"]),
        ("run=1,2", ["Could not parse value 1,2 as valid RGB color. Ignoring."]),
        (
            "run=1,2,300",
            ["A field in BUILDKIT_COLORS appears to contain an RGB value that is not within"],
        ),
        ("run=a,2,3", ["A field in BUILDKIT_COLORS appears to contain an RGB value that is not an integer: a,2,3"]),
    ],
)
def test_what_is_wrong_is_said_in_docker_buildx_s_words(text: str, said: list[str]) -> None:
    """A line for each field that does not count."""
    found = colour_problems({"BUILDKIT_COLORS": text})
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))
    assert colour_problems({"BUILDKIT_COLORS": text, "NO_COLOR": "1"}) == []


@given(st.text('run=blue,:012"', max_size=16))
def test_any_text_is_read(text: str) -> None:
    """What is wrong changes no colour but its own."""
    colour_problems({"BUILDKIT_COLORS": text})
    assert set(colours({"BUILDKIT_COLORS": text})) == {"run", "cancel", "error", "warning"}
