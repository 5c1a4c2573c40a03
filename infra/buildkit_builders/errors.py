"""The error for wrong config: every problem on a line of its own, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from buildkit_builders.options.problems import OptionErrors, Problem, Problems

__all__ = ["ConfigError", "reported"]


class ConfigError(pulumi.RunError):
    """The config of a builder is wrong. Pulumi prints the message, a line a problem, and stops the program."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"{count} in the builder's config; nothing was changed", *(f"  {problem}" for problem in problems)]
        super().__init__("\n".join(lines))


@contextmanager
def reported(place: str = "", whole: str = "builder") -> Iterator[Problems]:
    """Collects problems below `place` (see Problems); raises ConfigError at the end if there are any."""
    problems = Problems(place, whole)
    yield problems
    try:
        problems.raise_any()
    except OptionErrors as error:
        raise ConfigError(error.problems) from None
