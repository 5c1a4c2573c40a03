"""The page of what a changed option does is that of the objects which the components make."""

from __future__ import annotations

from pathlib import Path

from tests.preview.changes import render


def test_the_page_is_current() -> None:
    """`make options` makes it."""
    page = Path(__file__).parents[2] / "docs" / "changes.md"
    assert page.read_text() == render()


def test_every_option_is_told_of_one_kind_of_workload_at_least() -> None:
    """None does nothing, and none is compared with options that it does not go with."""
    rows = [line.split(" | ") for line in render().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert not [row for row in rows if row[1] in ("not with it", "nothing") or row[2].startswith("nothing")]
