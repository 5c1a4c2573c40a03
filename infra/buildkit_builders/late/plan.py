"""Lays out a builder's or node's objects around the Outputs among its args: `plan_late`, then `LatePlan.objects`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import pulumi

from buildkit_builders.late.choose import choose, refuse
from buildkit_builders.late.resolve import Resolver
from buildkit_builders.late.template import Template, at
from buildkit_builders.late.tree import Path, differences, put
from buildkit_builders.options.problems import Problems

__all__ = ["LatePlan", "Render", "plan_late"]

T = TypeVar("T")
Render = Callable[[Mapping[str, Any], Problems], T | None]
"""Makes the objects of plain args; None if something is wrong with them, which it adds to the problems."""


class _Layout(NamedTuple):
    """What stands for each Output, and what each decides."""

    samples: tuple[Any, ...]
    leaves: Mapping[Path, frozenset[int]]
    """The parts of the objects that become Outputs, and the numbers of the Outputs that they depend on."""


class LatePlan(Generic[T]):
    """The args with Outputs among them, checked as far as they are known."""

    def __init__(self, template: Template, layout: _Layout) -> None:
        self._template = template
        self._layout = layout

    @property
    def sampled_args(self) -> dict[str, Any]:
        """The args with a sample for each Output."""
        return self._template.fill(self._layout.samples)

    def objects(
        self, render: Render[T], where: str, whole: str = "builder", *, secret: bool = False
    ) -> tuple[T, list[pulumi.Output[Any]]]:
        """The objects, with Outputs for what depends on any; and what each of them waits for.

        That is an Output, without a value, which fails with ConfigError once a real value is refused. `where`,
        `whole` and `secret` are as of `reported`.
        """
        place = Problems(where, whole)
        resolver = Resolver(self._template, self._layout.samples, self._layout.leaves, render, place, secret=secret)
        return put(resolver.sampled, resolver.outputs()), [resolver.ready]


def plan_late(template: Template, render: Render[T], problems: Problems) -> LatePlan[T]:
    """Choose samples and lay out the objects. An Output that cannot be taken, and what else is wrong, is a problem.

    Options are not checked against each other, since samples stand among them: `LatePlan.objects` does that with the
    real values. The plan is good only if nothing was added to `problems`.
    """
    choice = choose(template, problems)
    alone = problems.fresh(each_alone=True)
    sampled = render(template.fill(choice.samples), alone)
    problems.found += alone.found
    found: dict[Path, set[int]] = {}
    for number, late in enumerate(template.late) if sampled is not None else ():
        values = [*choice.samples[:number], choice.others[number], *choice.samples[number + 1 :]]
        wide = isinstance(choice.samples[number], dict | list)
        for one in differences(sampled, render(template.fill(values), problems.fresh(each_alone=True))):
            if one.decides and (one.fixed or not wide):
                refuse(at(problems, late.path), one.decides)
                break
            found.setdefault(one.path, set()).add(number)
    return LatePlan(template, _Layout(choice.samples, _outermost(found)))


def _outermost(found: Mapping[Path, set[int]]) -> dict[Path, frozenset[int]]:
    """The parts that are within no other, with all that those within them depend on."""
    whole: dict[Path, set[int]] = {}
    for path in sorted(found, key=len):
        outer = next((path[:end] for end in range(len(path)) if path[:end] in whole), path)
        whole.setdefault(outer, set()).update(found[path])
    return {path: frozenset(numbers) for path, numbers in whole.items()}
