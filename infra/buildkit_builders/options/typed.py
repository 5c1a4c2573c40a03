"""The typed args of driver options, `buildkit_builders/driveropts.py`, made from the table. `make options` runs it."""

from __future__ import annotations

import re
import textwrap

from buildkit_builders.options.table import TABLE, OptionRow
from buildkit_builders.options.text import as_text

__all__ = ["described", "render"]

_HEAD = '''\
"""The driver options of a node as typed args: a class with names in snake_case, and a mapping with buildx's names.

Made by `make options` from the table of options; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from buildkit_builders.argtypes import (
{names}
    )

__all__ = ["DriverOptsArgs", "DriverOptsArgsDict"]

DriverOptsArgsDict = TypedDict(
    "DriverOptsArgsDict",
    {{
{keys}
    }},
    total=False,
)
"""The driver options of a node, with docker buildx's names: `{{"replicas": 2, "requests.cpu": "500m"}}`."""


@dataclass(kw_only=True)
class DriverOptsArgs:
    """The driver options of a node: `DriverOptsArgs(replicas=2, requests_cpu="500m")`.

    Each has docker buildx's name, with `_` for `.` and `-`.
    """

{fields}
'''
_NATURAL = {
    "string": "str",
    "boolean": "bool | str",
    "integer": "int | str",
    "object": "Mapping[str, object] | str",
    "array": "Sequence[object] | str",
}
_WIDTH = 116


def render() -> str:
    """The module as Python text."""
    types = [_type(row) for row in TABLE.rows]
    text = " ".join(types)
    used = sorted({name for name in re.findall(r"\b[A-Z]\w*", text) if name not in ("Mapping", "Sequence", "Input")})
    head = _HEAD if "Sequence[" not in text else _HEAD.replace("abc import Mapping", "abc import Mapping, Sequence")
    return head.format(
        names="\n".join(f"        {name}," for name in used),
        keys="\n".join(f'        "{row.name.rstrip(".")}": "{_type(row)}",' for row in TABLE.rows),
        fields="\n".join(f"    {row.field}: {_type(row)} | None = None\n{_docstring(row)}" for row in TABLE.rows),
    )


def _type(row: OptionRow) -> str:
    value = f"pulumi.Input[{row.kind.python or _NATURAL[row.kind.json]}]"
    return f"Mapping[str, {value}]" if row.is_family else value


def described(row: OptionRow) -> str:
    """What an option does and its default, in plain text: a link into docs/ leads nowhere from an editor."""
    default = f" Default: {row.default_text}." if row.default_text else ""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", row.about) + default


def _docstring(row: OptionRow) -> str:
    name = f"{row.name}NAME" if row.is_family else row.name
    whole = f'"""`{name}`: {described(row)} Example: `{as_text(row.sample)}`."""'
    lines = textwrap.wrap(whole, _WIDTH, break_long_words=False, break_on_hyphens=False)
    # the closing quotes stand alone below more than one line
    lines = [*lines[:-1], lines[-1].removesuffix('"""'), '"""'] if len(lines) > 1 else lines
    return "\n".join(f"    {line}" for line in lines if line)


if __name__ == "__main__":
    print(render(), end="")
