"""What an option is: a row of the table, and the table by the names that users write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["Kind", "OptionRow", "OptionTable"]


class Kind(NamedTuple):
    """A type of value: its name in the documentation, its JSON type, and its parser."""

    name: str
    json: str
    """The natural type in structured config; a text is always taken too."""
    read: Callable[[object], Any]
    """Returns the value; raises InvalidValue."""
    python: str = ""
    """The value's type in typed args, of names in `buildkit_builders.argtypes`; by default what the JSON type says."""


class OptionRow(NamedTuple):
    """One option, or a family of them: all names with one prefix, whose values are of one kind."""

    name: str
    """As buildx spells it. A family's ends with a dot: `env.` is the family of `env.HTTP_PROXY`."""
    kind: Kind
    default: Any
    """The value where none is given; a family's is an empty mapping."""
    example: str
    """A value as option text; of a family, what follows the prefix: `HTTP_PROXY=http://proxy:3128`."""
    about: str
    """What it does, in a sentence of the documentation."""
    default_text: str = ""
    """The default in words, for the documentation."""
    empty_is_unset: bool = False
    """Whether an empty text means the default, as in buildx."""
    check_key: Callable[[str], object] = str
    """Raises InvalidValue for what may not follow a family's prefix."""

    @property
    def is_family(self) -> bool:
        """Whether any name with this prefix is an option."""
        return self.name.endswith(".")

    @property
    def field(self) -> str:
        """The field of `Options` that holds the value; a family's holds a mapping, without the prefix."""
        return re.sub(r"[.-]", "_", self.name.rstrip("."))

    @property
    def sample(self) -> dict[str, str]:
        """The example, by the option's whole name."""
        key, _, value = self.example.partition("=") if self.is_family else ("", "", self.example)
        return {self.name + key: value}


class OptionTable:
    """Rows by the names that users write."""

    def __init__(self, rows: Iterable[OptionRow]) -> None:
        self.rows = tuple(rows)
        self._by_name = {row.name: row for row in self.rows}

    @property
    def names(self) -> tuple[str, ...]:
        """The options' names, in order; a family as `env.*`."""
        return tuple(f"{row.name}*" if row.is_family else row.name for row in self.rows)

    def row(self, name: str) -> OptionRow | None:
        """The row of the option `name`, which may be of a family; None if there is no such option."""
        if row := self._by_name.get(name):
            return None if row.is_family else row
        # options of a family may have dots of their own, so the longest prefix that is one counts
        families = [row for row in self.rows if row.is_family and name.startswith(row.name)]
        return max(families, key=lambda row: len(row.name), default=None)

    def fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Every row's value by its field: that in `values`, which go by the options' whole names, else the default."""
        found = {row.field: values.get(row.name, row.default) for row in self.rows}
        for family in filter(lambda row: row.is_family, self.rows):
            given = {
                name.removeprefix(family.name): value for name, value in values.items() if self.row(name) is family
            }
            found[family.field] = MappingProxyType({**family.default, **given})
        return found
