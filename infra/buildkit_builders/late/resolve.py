"""From Outputs among args to Outputs among objects: each real value is checked as it becomes known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

import pulumi

from buildkit_builders.errors import ConfigError, without_values
from buildkit_builders.late.template import LateValue, Template, at
from buildkit_builders.late.tree import Path, differences, pick
from buildkit_builders.options.problems import Problem, Problems

__all__ = ["Resolver"]

T = TypeVar("T")
_HEADLINE = "in the builder's config, in values of Outputs; no object of it was changed"
_SECRET = "[secret]"
_SHORTEST_SECRET = 3
"""Shorter texts are too common to be looked for in messages."""


class Resolver:
    """Checks the args once all Outputs are known, and gives the parts of the objects that depend on them."""

    def __init__(
        self,
        template: Template,
        samples: Sequence[Any],
        leaves: Mapping[Path, frozenset[int]],
        render: Callable[[Mapping[str, Any], Problems], Any],
        place: Problems,
        *,
        secret: bool,
    ) -> None:
        """`place` is that of the args; with `secret` no message has a value of an option."""
        self._template = template
        self._samples = tuple(samples)
        self._leaves = leaves
        self._render = render
        self._place, self._secret = place, secret
        self._partial: dict[frozenset[int], Any] = {}
        self.sampled = self._objects({})
        """The objects with a sample for each Output."""
        self._checked = asyncio.ensure_future(self._check())
        # seen by asyncio even where no object waits for it any more, since another has failed
        self._checked.add_done_callback(lambda task: task.cancelled() or task.exception())
        self.ready: pulumi.Output[None] = _output(self._none())
        """Known once all Outputs are; it fails with ConfigError for args that are wrong."""

    def outputs(self) -> dict[Path, pulumi.Output[Any]]:
        """The parts that depend on Outputs; each is secret, and unknown in a preview, only if one of its own is."""
        return {path: self._leaf(path, numbers) for path, numbers in self._leaves.items()}

    def _leaf(self, path: Path, numbers: frozenset[int]) -> pulumi.Output[Any]:
        ordered = sorted(numbers)
        needed = pulumi.Output.all(*(self._template.late[number].output for number in ordered))

        async def found(values: Sequence[Any]) -> tuple[Any, bool]:
            await self._checked
            objects = self._objects(dict(zip(ordered, values, strict=True)))
            return pick(objects, path), True

        return needed.apply(lambda values: _output(found(values)))

    def _objects(self, real: Mapping[int, Any]) -> Any:
        """The objects with these real values, and samples for other Outputs: nothing of theirs can get in."""
        key = frozenset(real)
        if key not in self._partial:
            values = [real.get(number, sample) for number, sample in enumerate(self._samples)]
            problems = Problems().fresh(each_alone=True)
            objects = self._render(self._template.fill(values), problems)
            self._partial[key] = None if problems.found else objects
        return self._partial[key]

    async def _none(self) -> tuple[None, bool]:
        return None, await self._checked

    async def _check(self) -> bool:
        """Whether all Outputs are known; raises ConfigError if the args are wrong with those that are.

        Options are checked against each other only once all are known.
        """
        late = self._template.late
        known = [await one.output.is_known() for one in late]
        values = [
            await one.output.future() if is_known else sample
            for one, is_known, sample in zip(late, known, self._samples, strict=True)
        ]
        problems = self._place.fresh(each_alone=not all(known))
        for one, value in zip(late, values, strict=True):
            if value is None:
                at(problems, one.path).add(None, "the Output's value is null; give one, or leave it out")
        objects = None if problems.found else self._render(self._template.fill(values), problems)
        if all(known) and objects is not None:
            self._compare(objects, values, problems)
        if problems.found:
            hidden = [(one, value) for one, value in zip(late, values, strict=True) if await one.output.is_secret()]
            told = map(without_values, problems.found) if self._secret else problems.found
            found = tuple(dict.fromkeys(self._without(problem, hidden) for problem in told))
            raise ConfigError(found, _HEADLINE)
        return all(known)

    def _compare(self, objects: Any, values: Sequence[Any], problems: Problems) -> None:
        """Adds what the real values change beyond the parts that a preview shows as depending on them."""
        for number, late in enumerate(self._template.late):
            alone = self._objects({number: values[number]})
            self._unexpected(self.sampled, objects if alone is None else alone, late, problems)
        if problems.found:
            return
        for path, numbers in self._leaves.items():
            own = self._objects({number: values[number] for number in numbers})
            if own is not None and pick(own, path) == pick(objects, path):
                continue
            for number in numbers:
                late = self._template.late[number]
                at(problems, late.path).add(None, "with the values of other Outputs it decides more than its own field")

    def _unexpected(self, sampled: Any, objects: Any, late: LateValue, problems: Problems) -> None:
        for one in differences(sampled, objects):
            if not any(one.path[: len(path)] == path for path in self._leaves):
                decides = one.decides or "more than a preview could show"
                hint = "give a plain value, or an Output whose values are all of one form"
                at(problems, late.path).add(None, f"the Output's value decides {decides}", hint)
                return

    def _without(self, problem: Problem, hidden: Sequence[tuple[LateValue, Any]]) -> Problem:
        """The problem without the values of secret Outputs."""
        for late, value in hidden:
            place = at(self._place, late.path).place
            if problem.option.startswith(place) or place.startswith(problem.option):
                problem = problem._replace(given=_SECRET if problem.given else "", hint="")
            elif problem.given.endswith("…"):
                problem = problem._replace(given="")
            for text in sorted(_texts(value), key=len, reverse=True):
                problem = Problem(problem.option, *(part.replace(text, _SECRET) for part in problem[1:]))
        return problem


def _texts(value: Any) -> set[str]:
    """The texts and numbers of a value that are long enough to be told from other words."""
    if isinstance(value, Mapping):
        return set().union(*map(_texts, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(_texts, value))
    text = "" if isinstance(value, bool) else str(value)
    return {text} if len(text) >= _SHORTEST_SECRET else set()


class _Known:
    """Awaits whether a value is known."""

    def __init__(self, task: asyncio.Future[tuple[Any, bool]], part: int) -> None:
        self._task, self._part = task, part

    def __await__(self) -> Generator[Any, None, Any]:
        return (yield from self._task.__await__())[self._part]


def _output(found: Awaitable[tuple[Any, bool]]) -> pulumi.Output[Any]:
    """An Output of no resources, from its value and whether that is known."""
    task = asyncio.ensure_future(found)
    return pulumi.Output(set(), _Known(task, 0), _Known(task, 1))
