"""CSV of one line as docker buildx reads it: the syntax of `--output`, `--cache-from`, `--attest` and similar flags.

It refuses what tonistiigi/go-csvvalue refuses, with the same messages; Python's `csv` accepts more.
"""

from __future__ import annotations

__all__ = ["CsvError", "csv_fields", "csv_line"]


class CsvError(ValueError):
    """A line is not valid CSV; the message is that of encoding/csv."""


def csv_fields(line: str) -> list[str]:
    """Returns the fields of one line.

    Raises CsvError for an empty line, a bare quote in a field or a missing closing quote.
    """
    if not line:
        raise CsvError("EOF")
    fields: list[str] = []
    at = 0
    while True:
        if line[at : at + 1] == '"':
            text, at = _quoted(line, at + 1)
        else:
            end = line.find(",", at)
            text, at = (line[at:], len(line)) if end < 0 else (line[at:end], end)
            if '"' in text:
                column = at - len(text) + text.index('"') + 1
                raise CsvError(f'parse error on line 1, column {column}: bare " in non-quoted-field')
        fields.append(text)
        if at >= len(line):
            return fields
        at += 1
        if at == len(line):
            return [*fields, ""]


def csv_line(pairs: list[tuple[str, str]]) -> str:
    """Returns `key=value` pairs as one line; quotes those that contain a comma or a quote."""
    return ",".join(_field(f"{key}={value}") for key, value in pairs)


def _field(text: str) -> str:
    if "," not in text and '"' not in text:
        return text
    return '"' + text.replace('"', '""') + '"'


def _quoted(line: str, at: int) -> tuple[str, int]:
    """Returns the quoted field that starts at `at`, after its opening quote, and where it ends."""
    parts: list[str] = []
    while True:
        end = line.find('"', at)
        if end < 0:
            column = at + 1
            raise CsvError(f'parse error on line 1, column {column}: extraneous or missing " in quoted-field')
        parts.append(line[at:end])
        follows = line[end + 1 : end + 2]
        if follows == '"':
            parts.append('"')
            at = end + 2
        elif follows in (",", ""):
            return "".join(parts), end + 1
        else:
            raise CsvError(f'parse error on line 1, column {end + 1}: extraneous or missing " in quoted-field')
