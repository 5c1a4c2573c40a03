"""The annotation `pulumi.com/waitFor`: one's own conditions instead of the built-in ones.

`jsonpath={.status.phase}=Running` (without `=value`: that the path is there), `condition=Ready` (`=False` to want
another status), or a JSON list of such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from standins.provider.await_.readiness import Following, Message, condition
from standins.provider.objects import Object

__all__ = ["BadWaitFor", "OwnConditions", "parse_wait_for"]

Test = Callable[[Object], bool]

_PATH = re.compile(r"^\{(\.[^{}]+)\}(?:=(.*))?$", re.DOTALL)
_STEP = re.compile(r"\.((?:[^.\[\\]|\\.)+)|\[(\d+|\*)\]|\['([^']+)'\]")


class BadWaitFor(Exception):
    """The annotation can't be read."""


def parse_wait_for(text: str) -> list[tuple[str, Test]]:
    """Each condition with its own text. Raises BadWaitFor."""
    try:
        values = json.loads(text)
    except ValueError:
        values = [text]
    if not isinstance(values, list):
        values = [text]
    if not values:
        raise BadWaitFor("at least one condition must be specified")
    return [(str(value), _parse(str(value))) for value in values]


def _parse(text: str) -> Test:
    kind, _, rest = text.partition("=")
    if kind == "jsonpath":
        return _json_path(rest)
    if kind == "condition":
        name, _, wanted = rest.partition("=")
        if not name:
            raise BadWaitFor(f"no condition named in {text!r}")
        return lambda target: condition(target, name).get("status", "").lower() == (wanted or "True").lower()
    raise BadWaitFor(f'expected a "jsonpath=" or "condition=" prefix, got "{text}"')


def _json_path(text: str) -> Test:
    match = _PATH.match(text.strip())
    if match is None:
        raise BadWaitFor(f"jsonpath wants the form {{.path}} or {{.path}}=value, got {text!r}")
    path, wanted = match.group(1), match.group(2)
    steps = [_step(found) for found in _STEP.finditer(path)]
    value = None if wanted is None else wanted.strip("'\"")

    def holds(target: Object) -> bool:
        found = _walk(target, steps)
        return bool(found) if value is None else any(_text(item) == value for item in found)

    return holds


def _step(match: re.Match[str]) -> str | int | None:
    name, index, quoted = match.groups()
    if index is not None:
        return None if index == "*" else int(index)
    return quoted if quoted is not None else name.replace("\\.", ".")


def _walk(value: Any, steps: Sequence[str | int | None]) -> list[Any]:
    if not steps:
        return [value]
    step, rest = steps[0], steps[1:]
    if step is None and isinstance(value, list):
        return [found for item in value for found in _walk(item, rest)]
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return _walk(value[step], rest)
    if isinstance(step, str) and isinstance(value, dict) and step in value:
        return _walk(value[step], rest)
    return []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class OwnConditions(Following):
    """Ready when every condition of the annotation holds."""

    def __init__(self, live: Object, conditions: Sequence[tuple[str, Test]]) -> None:
        super().__init__(live)
        self._conditions = conditions

    def _open(self) -> list[str]:
        return [text for text, test in self._conditions if not test(self.live)]

    def ready(self, now: float) -> bool:
        """Whether all hold."""
        return self.seen and not self.gone and not self._open()

    def status(self) -> Sequence[Message]:
        """Which do not hold yet."""
        return [("info", f"Waiting for {text}") for text in self._open()]

    def problems(self) -> Sequence[str]:
        """Which never held."""
        return [f"condition not met: {text}" for text in self._open()]
