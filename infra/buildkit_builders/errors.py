"""The error for wrong config: every problem on a line of its own, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pulumi

from buildkit_builders.options.problems import OptionErrors, Problem, Problems

__all__ = ["ConfigError", "reported", "without_values"]


class ConfigError(pulumi.RunError):
    """The config of a builder is wrong. Pulumi prints the message, a line a problem, and stops the program."""

    problems: tuple[Problem, ...]

    def __init__(
        self, problems: tuple[Problem, ...], what: str = "in the builder's config; nothing was changed"
    ) -> None:
        """`what` follows the number of problems in the message's first line."""
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"{count} {what}", *(f"  {problem}" for problem in problems)]
        super().__init__("\n".join(lines))


@contextmanager
def reported(place: str = "", whole: str = "builder", *, secret: bool = False) -> Iterator[Problems]:
    """Collects problems below `place` (see Problems); raises ConfigError at the end if there are any.

    With `secret` the messages do not repeat what was given as options.
    """
    problems = Problems(place, whole)
    yield problems
    try:
        problems.raise_any()
    except OptionErrors as error:
        hidden = tuple(map(without_values, error.problems)) if secret else error.problems
        raise ConfigError(hidden) from None


def without_values(problem: Problem) -> Problem:
    """The problem; of an option without what was given."""
    of_options = "driver-opts" in problem.option
    return problem._replace(given="[secret]" if problem.given else "", hint="") if of_options else problem
