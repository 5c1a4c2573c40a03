"""buildx's own option text, the value of `--driver-opt`: `namespace=buildkit,"nodeselector=a=b,c=d"`.

Two quotings are read. CSV's, around a whole key=value, with `""` for a quote within. And the one that buildx's
documentation shows in a shell, around the value alone: `nodeselector="a=b,c=d"`; buildx itself sees it only after
the shell has taken the quotes off, and refuses it where no shell did. Each line is one `--driver-opt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from buildkit_builders.options.problems import Problems, nearest, shorten
from buildkit_builders.options.table import TABLE, OptionTable

__all__ = ["read_text"]


def read_text(texts: str | Iterable[str], problems: Problems, table: OptionTable = TABLE) -> dict[str, object]:
    """The options named in one or more texts, by name; of one given twice the last stays, as in buildx.

    Broken quoting, a part without `=`, and what a comma cut off its option are added to `problems`; names are not
    looked up otherwise.
    """
    found: dict[str, object] = {}
    for text in [texts] if isinstance(texts, str) else texts:
        for line in text.splitlines():
            if line.strip():
                _read_line(line.strip(), found, problems, table)
    return found


def _read_line(line: str, found: dict[str, object], problems: Problems, table: OptionTable) -> None:
    last = ""
    for field in _fields(line, problems):
        name, equals, value = field.partition("=")
        name = name.strip()
        in_list = _has_commas(last, table)
        if not equals:
            hint = _meant(name, table) or _lost_comma(last, field, in_list)
            problems.add(field, "each option is written name=value", hint)
        elif in_list and table.row(name) is None and "." not in name and not nearest(name, table.names):
            problems.unknown(name, table.names, "option", _lost_comma(last, field, in_list))
        else:
            found[name] = value.strip()
            last = name


def _has_commas(name: str, table: OptionTable) -> bool:
    """Whether the option's value is a list or pairs, with commas between."""
    row = table.row(name)
    return row is not None and row.kind.json in ("object", "array")


def _lost_comma(last: str, field: str, in_list: bool) -> str:
    """The hint for a part that a comma has cut off the option before it."""
    last, field = shorten(last), shorten(field)
    if not in_list:
        return f"the comma before it ended {last}" if last else ""
    return f'if {field} belongs to {last}, quote the whole option: "{last}=…,{field}"'


def _meant(name: str, table: OptionTable) -> str:
    near = nearest(name, table.names)
    return f'did you mean "{near}=…"?' if near else ""


def _fields(line: str, problems: Problems) -> list[str]:
    """The comma-separated fields of one line, unquoted; stops at the first broken quoting."""
    fields: list[str] = []
    position = 0
    while position <= len(line):
        while line[position : position + 1] == " ":
            position += 1
        equals = line.find("=", position)
        comma = line.find(",", position)
        bare = line[position : position + 1] != '"'
        value_quoted = (
            bare and line[equals + 1 : equals + 2] == '"' and 0 <= equals < (len(line) if comma < 0 else comma)
        )
        head = line[position : equals + 1] if value_quoted else ""
        if head or line[position : position + 1] == '"':
            text, end = _quoted(line, position + len(head))
            rest = line[end : end + 1].strip() if end >= 0 else ""
            if end < 0 or rest not in ("", ","):
                problem = "the quote is never closed" if end < 0 else "after a closing quote comes a comma or the end"
                problems.add(line[position:], problem, 'quote a whole option: "name=value"')
                return fields
            position = line.find(",", end)
        else:
            text = line[position:] if comma < 0 else line[position:comma]
            position = comma
            if '"' in text:
                problems.add(text, "a quote stands around a whole option or its whole value")
                return fields
        fields.append(head + text)
        if position < 0:
            break
        position += 1
    return fields


def _quoted(line: str, start: int) -> tuple[str, int]:
    """The text of a quoted part that begins at `start`, and where it ends; -1 if it does not."""
    text, position = "", start + 1
    while (quote := line.find('"', position)) >= 0:
        text += line[position:quote]
        if line[quote + 1 : quote + 2] != '"':
            return text, quote + 1
        text += '"'
        position = quote + 2
    return text, -1


def as_text(options: Mapping[str, str]) -> str:
    """Options as one text that `read_text` and buildx read alike: the inverse, for texts of option values."""
    fields = (f"{name}={value}" for name, value in options.items())
    return ",".join('"' + f.replace('"', '""') + '"' if any(c in f for c in '",') else f for f in fields)
