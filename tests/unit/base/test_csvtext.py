"""CSV as flags hold it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildclient.base.csvtext import CsvError, csv_fields, csv_line


@given(st.lists(st.tuples(st.text("ab-.", min_size=1), st.text('ab,"=; é')), min_size=1, max_size=5))
def test_csv_reads_back_what_it_wrote(pairs: list[tuple[str, str]]) -> None:
    """Quotes and commas in values survive."""
    assert csv_fields(csv_line(pairs)) == [f"{key}={value}" for key, value in pairs]


@given(st.text('ab,"'))
def test_csv_either_reads_or_names_the_column(text: str) -> None:
    """No text breaks it in any other way."""
    try:
        csv_fields(text)
    except CsvError as error:
        assert "column" in str(error) or not text  # noqa: PT017 - either end will do
