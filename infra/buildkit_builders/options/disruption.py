"""The options of evictions: how many of a node's pods may be away, as when their Kubernetes nodes are drained.

Reference: PodDisruptionBudget of policy/v1 (Kubernetes 1.36).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from buildkit_builders.options import values
from buildkit_builders.options.kinds import BOOLEAN
from buildkit_builders.options.problems import InvalidValue, Problems
from buildkit_builders.options.row import Kind, OptionRow

__all__ = ["DISRUPTION_ROWS", "DisruptionOptions", "check_disruption"]

_BUDGET = "disruption-budget."
_ENABLED, _MOST_AWAY, _FEWEST = (_BUDGET + name for name in ("enabled", "max-unavailable", "min-available"))
_AMOUNT = re.compile(r"(?:[0-9]{1,9}|(?:100|[0-9]{1,2})%)\Z")


@dataclass(frozen=True)
class DisruptionOptions:
    """The values of these options."""

    disruption_budget_enabled: bool
    disruption_budget_max_unavailable: int | str | None
    """A number of pods, or a share such as `25%`."""
    disruption_budget_min_available: int | str | None
    """The same."""


def _amount(raw: object) -> int | str:
    allowed = "give a number of pods, or a share of them, such as 25%"
    text = values.text_of(int(raw) if isinstance(raw, float) and raw.is_integer() else raw, allowed)
    if not _AMOUNT.match(text):
        raise InvalidValue(allowed)
    return text if text.endswith("%") else int(text)


_PODS = Kind("whole number or percentage", "string", _amount, "str | int")

DISRUPTION_ROWS = (
    OptionRow(
        _ENABLED,
        BOOLEAN,
        True,
        default_text="`true`",
        example="false",
        about="Whether the node has a PodDisruptionBudget, which bounds how many of its pods may be evicted at a time, "
        "as by `kubectl drain` ([reliability.md](reliability.md)).",
        empty_is_unset=True,
    ),
    OptionRow(
        _MOST_AWAY,
        _PODS,
        None,
        default_text="`1`",
        example="25%",
        about="How many of the pods may be away because of evictions. `0` forbids them: a drain then waits for ever.",
        empty_is_unset=True,
    ),
    OptionRow(
        _FEWEST,
        _PODS,
        None,
        default_text="unset",
        example="1",
        about="How many pods must stay, instead of how many may be away.",
        empty_is_unset=True,
    ),
)


def check_disruption(given: Mapping[str, Any], problems: Problems) -> None:
    """Check these options against each other; what does not go together is added to `problems`."""
    most, fewest = given.get(_MOST_AWAY), given.get(_FEWEST)
    if most is not None and fewest is not None:
        problems.at(_FEWEST).add(str(fewest), f"a budget has one of both: leave out {_MOST_AWAY}")
    if given.get(_ENABLED) is False:
        for name in (_MOST_AWAY, _FEWEST):
            if given.get(name) is not None:
                problems.at(name).add(str(given[name]), f"there is no budget: leave out {_ENABLED}")
