"""How each case stands to its goal and its bound, for a file that programs read and for the exit status. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["BEHIND", "BOUNDS", "Figure", "behind", "latest", "verdict"]

BEHIND = 1.2
"""A case that is more than a fifth behind its goal fails, or behind its bound where the goal is out of reach."""
BOUNDS: Mapping[str, float] = {
    "cached": 1.32, "cached-push": 1.32, "ls": 1.2, "ten-commands": 1.45,
    "many-again": 0.92, "many-back": 1.2,
    "cached-30ms": 0.54, "cached-30ms-kept": 0.43, "cached-push-30ms": 0.57,
    "platforms-30ms": 0.78, "platforms-cached-30ms": 0.61, "text-10MBps": 0.49, "tree-again": 0.49,
    "planning": 0.12,
}  # fmt: skip
"""What is within reach of the cases whose goal is not, on a slow machine: docs/where-time-goes.md says why."""


class Figure(NamedTuple):
    """What was measured of one case."""

    name: str
    ours: float
    """Seconds: a median."""
    peer: float | None
    """docker buildx's; None where it has no such thing."""
    goal: float | None
    """The ratio that is aimed at; without a peer, seconds."""

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return None if self.peer is None else self.ours / self.peer

    @property
    def shortfall(self) -> float:
        """By what the figure is to be divided to reach the goal: at most 1 where it is reached, 0 without a goal."""
        return self._behind(self.goal)

    @property
    def decline(self) -> float:
        """The same for the goal or the bound, whichever is easier to reach."""
        return self._behind(max(self.goal, BOUNDS.get(self.name, 0.0)) if self.goal else None)

    def _behind(self, aim: float | None) -> float:
        value = self.ours if self.ratio is None else self.ratio
        return value / aim if aim else 0.0


def verdict(figure: Figure) -> str:
    """`reached`, `near` (a fifth behind at most), `behind`, or nothing where there is no goal."""
    if not figure.goal:
        return ""
    if figure.shortfall <= 1:
        return "reached"
    return "near" if figure.shortfall <= BEHIND else "behind"


def behind(figures: Iterable[Figure]) -> list[Figure]:
    """Those that are more than a fifth behind their goal and their bound, the farthest first."""
    late = [figure for figure in figures if figure.decline > BEHIND]
    return sorted(late, key=lambda figure: -figure.decline)


def latest(figures: Sequence[Figure]) -> str:
    """The JSON of all figures, in their order; null where there is no peer."""
    rows = [
        {
            "name": figure.name,
            "ratio": None if figure.ratio is None else round(figure.ratio, 3),
            "ours_s": round(figure.ours, 4),
            "peer_s": None if figure.peer is None else round(figure.peer, 4),
            "goal": figure.goal,
        }
        for figure in figures
    ]
    return json.dumps(rows, indent=1) + "\n"
