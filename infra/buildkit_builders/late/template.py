"""Takes the Outputs out of args: what remains is a template, which is filled with sample values or the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple

import pulumi

from buildkit_builders.args import as_mapping
from buildkit_builders.late.tree import Path
from buildkit_builders.options.problems import Problems

__all__ = ["ABSENT", "LateValue", "Template", "at", "take"]

_MOST_LEVELS = 50
ABSENT: Any = object()
"""In place of a value: it is left out, and with it the list that it is in, since the others keep their places."""


class _Mark(NamedTuple):
    """The place of an Output in a template."""

    number: int


class LateValue(NamedTuple):
    """An Output among the args, and where it stands."""

    path: Path
    output: pulumi.Output[Any]


class Template(NamedTuple):
    """Args without their Outputs."""

    args: Any
    late: tuple[LateValue, ...]

    def known(self) -> dict[str, Any]:
        """The args that are known: those without an Output in them."""
        return self.fill([ABSENT] * len(self.late))

    def fill(self, values: Sequence[Any]) -> dict[str, Any]:
        """The args with the given values in place of the Outputs, in their order."""
        found = _filled(self.args, values)
        return found if isinstance(found, dict) else {}


def take(raw: Mapping[str, Any], problems: Problems) -> Template:
    """Args of any spelling without their Outputs and awaitables, at any depth; a resource becomes a problem."""
    late: list[LateValue] = []
    args = _taken(raw, (), problems, late)
    return Template(args, tuple(late))


def at(problems: Problems, path: Path) -> Problems:
    """The view of what stands at that path."""
    for step in path:
        problems = problems.at(f"[{step}]" if isinstance(step, int) else step)
    return problems


def _taken(value: Any, path: Path, problems: Problems, late: list[LateValue]) -> Any:
    value = _as_plain(value)
    if isinstance(value, pulumi.Resource):
        at(problems, path).add(None, "give a value, not a resource", "such as its name, as text or as an Output")
        return ABSENT
    if isinstance(value, pulumi.Output) or isawaitable(value):
        late.append(LateValue(path, pulumi.Output.from_input(value)))
        return _Mark(len(late) - 1)
    if len(path) >= _MOST_LEVELS:
        return value
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, pulumi.Output):
                at(problems, path).add(None, "give a name as a plain value, not an Output")
        named = {str(key): one for key, one in value.items() if not isinstance(key, pulumi.Output)}
        return {key: _taken(one, (*path, key), problems, late) for key, one in named.items()}
    if isinstance(value, list | tuple):
        return [_taken(one, (*path, number), problems, late) for number, one in enumerate(value)]
    return value


def _as_plain(value: Any) -> Any:
    """A mapping for an object of our classes, or of the Kubernetes package's, such as `core.v1.AffinityArgs`."""
    if getattr(type(value), "_pulumi_input_type", False) and not isinstance(value, Mapping):
        to_mapping: Callable[[Any], Any] = pulumi._types.input_type_to_dict
        return to_mapping(value)
    return as_mapping(value)


def _filled(value: Any, values: Sequence[Any]) -> Any:
    if isinstance(value, _Mark):
        return values[value.number]
    if isinstance(value, dict):
        named = {key: _filled(one, values) for key, one in value.items()}
        return {key: one for key, one in named.items() if one is not ABSENT}
    if isinstance(value, list):
        items = [_filled(one, values) for one in value]
        return ABSENT if any(one is ABSENT for one in items) else items
    return value
