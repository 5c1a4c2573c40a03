"""Stacks that exist show no change: whatever is registered here becomes state, in clusters that we do not see.

golden/stored_stacks.json is what the components registered at version 0.1.0, program by program: types, names, parents,
inputs, the provider's inputs, aliases, dependencies, timeouts, and outputs. A program whose registration differs shows
its users a change, at worst a replacement of every pod. So the file is written anew only for a change that users are
meant to see, that stands in CHANGELOG.md, and that leaves each old name as an alias:
`.venv/bin/python -m tests.preview.stored_stacks buildkit_builders >tests/preview/golden/stored_stacks.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.preview.stored_stacks import PROGRAMS, registered

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "stored_stacks.json").read_text())


def test_every_stored_stack_has_its_program() -> None:
    """No recording is passed over."""
    assert GOLDEN.keys() == PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_stack_that_exists_shows_no_change(name: str) -> None:
    """A program registers what it registered when its stack was made, field by field."""
    assert registered("buildkit_builders", PROGRAMS[name]) == GOLDEN[name]
