"""Lists in the shapes of docker's `--format`."""

from __future__ import annotations

import json

import pytest

from buildclient.base.errors import UsageError
from buildclient.cli.tables import rendered, tabbed

_HEADERS = {"ID": "ID", "Size": "SIZE", "Shared": "SHARED"}
_ROWS = [{"ID": "a", "Size": "1B", "Shared": True}, {"ID": "long-identifier", "Size": "2B", "Shared": False}]


def test_a_table_is_padded_as_dockers() -> None:
    """Three spaces between columns, ten characters at the least."""
    assert list(rendered(_ROWS, _HEADERS, "table", ("ID", "Size"))) == [
        "ID                SIZE",
        "a                 1B",
        "long-identifier   2B",
    ]


def test_templates_name_fields() -> None:
    """A line each, with or without a table's heading, or a field as JSON."""
    assert list(rendered(_ROWS, _HEADERS, "{{.ID}}={{ .Shared }}", ())) == ["a=true", "long-identifier=false"]
    assert list(rendered(_ROWS[:1], _HEADERS, r"table {{.Size}}\t{{.ID}}", ())) == ["SIZE      ID", "1B        a"]
    assert list(rendered(_ROWS[:1], _HEADERS, "{{json .ID}}", ())) == ['"a"']
    assert json.loads(next(rendered(_ROWS, _HEADERS, "json", ()))) == _ROWS[0]


@pytest.mark.parametrize("shape", ["{{.Nope}}", "{{range .}}", "{{.ID", "{{if .ID}}x{{end}}"])
def test_other_templates_are_refused(shape: str) -> None:
    """With the fields that there are."""
    with pytest.raises(UsageError, match="the fields are ID, Size, Shared"):
        list(rendered(_ROWS, _HEADERS, shape, ()))


def test_tabs_align_as_gos_tabwriter() -> None:
    """Columns end at multiples of eight."""
    assert tabbed([("Reclaimable:", "1B"), ("Total:", "2B")]) == ["Reclaimable:\t1B", "Total:\t\t2B"]
    assert tabbed([]) == []


def test_values_steer_no_terminal() -> None:
    """In a template as in a table."""
    row = {"ID": "a\x1b[2Jb\n", "Size": ["\x9b"], "Shared": False}
    assert list(rendered([row], _HEADERS, "{{.ID}} {{.Size}}", ())) == [r"a\x1b[2Jb\n [\u009b]"]
    assert list(rendered([row], _HEADERS, "table", ("ID",)))[1] == r"a\x1b[2Jb\n"
