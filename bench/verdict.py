"""How each case stands to its goal, for a file that programs read and for the exit status. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["BEHIND", "Figure", "behind", "latest", "verdict"]

BEHIND = 1.2
"""A case that is more than a fifth behind its goal fails."""


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
        value = self.ours if self.ratio is None else self.ratio
        return value / self.goal if self.goal else 0.0


def verdict(figure: Figure) -> str:
    """`reached`, `near` (a fifth behind at most), `behind`, or nothing where there is no goal."""
    if not figure.goal:
        return ""
    if figure.shortfall <= 1:
        return "reached"
    return "near" if figure.shortfall <= BEHIND else "behind"


def behind(figures: Iterable[Figure]) -> list[Figure]:
    """Those that are more than a fifth behind their goal, the farthest first."""
    late = [figure for figure in figures if figure.shortfall > BEHIND]
    return sorted(late, key=lambda figure: -figure.shortfall)


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
