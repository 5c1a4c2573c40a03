"""Chooses a pair of sample values for each Output among args; an Output that no option can take is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from buildkit_builders.late.samples import Pair, option_path, pairs
from buildkit_builders.late.template import ABSENT, Template, at
from buildkit_builders.late.tree import Path
from buildkit_builders.options.problems import Problems
from buildkit_builders.options.table import TABLE

__all__ = ["Choice", "choose", "refuse"]

_HINT = "take it from stack config by config.require, or make the builder within the Output's apply"
_PARTS = "of a mapping or list, the values in it may be Outputs"
_NONE = "give a plain value, not an Output: no Output is taken here"
_NEVER: Mapping[str, str] = {
    "name": "the names of resources",
    "nodes": "how many nodes there are",
    "driver-opts": "which options there are",
    "context": "which cluster it is",
}


class Choice(NamedTuple):
    """What stands for the Outputs, in their order."""

    samples: tuple[Any, ...]
    """With ABSENT for those that are refused."""
    others: tuple[Any, ...]
    """The other value of each pair."""


def choose(template: Template, problems: Problems) -> Choice:
    """Samples that the Outputs' options take; an Output for which there are none is added to `problems`."""
    groups: dict[Path, list[int]] = {}
    for number, late in enumerate(template.late):
        if decides := _never(late.path):
            refuse(at(problems, late.path), decides)
        else:
            groups.setdefault(option_path(late.path), []).append(number)
    chosen: dict[int, Pair] = {}
    for option, numbers in groups.items():
        if (found := next(pairs(template, option, numbers), None)) is not None:
            chosen.update(zip(numbers, found, strict=True))
            continue
        for number in numbers:
            whole = template.late[number].path == option and _has_parts(str(option[-1]))
            at(problems, template.late[number].path).add(None, _NONE, _PARTS if whole else _HINT)
    both = [chosen.get(number, (ABSENT, ABSENT)) for number in range(len(template.late))]
    return Choice(tuple(one for one, _ in both), tuple(other for _, other in both))


def refuse(problems: Problems, decides: str) -> None:
    """Add that no Output can stand here; `decides` says what follows from the value."""
    problems.add(None, f"give a plain value, not an Output: it decides {decides}, in a preview too", _HINT)


def _never(path: Path) -> str:
    """What a value at that path decides, if that is never left to an Output."""
    if path[0] == "nodes":
        path = path[2:] or ("nodes",)
    if path[0] == "driver-opts" and len(path) > 1 and isinstance(path[1], str):
        return ""
    return _NEVER.get(str(path[0]), "")


def _has_parts(name: str) -> bool:
    row = TABLE.row(name) or TABLE.row(f"{name}.x")
    return row is not None and (row.is_family or row.kind.json in ("object", "array"))
